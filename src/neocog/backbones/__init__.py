"""Images to named feature maps; each backbone states its channels and strides."""
