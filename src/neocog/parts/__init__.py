"""What two or more models share: region proposal network, region heads."""
