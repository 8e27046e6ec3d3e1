"""Looking inside: what a network computed on the way to its answer."""
