"""From disk, or from the generator, to samples."""
