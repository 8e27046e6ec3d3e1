"""Sample -> Sample: geometry resampled once, colour, and the recipes made of them."""
