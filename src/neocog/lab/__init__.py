"""The lab: a local page on which convolution moves and models can be looked into."""
