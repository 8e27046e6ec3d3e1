"""Neocog: the convolutional vision family in one package."""

from neocog.version import __version__

__all__ = ["__version__"]
