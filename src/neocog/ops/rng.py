"""Randomness as a function of what it is for, never of worker, order or clock.

A generator is named by (seed, epoch, sample index, operation): whoever asks, whenever, gets the same draws.
That alone gives determinism, independence of the number of workers, and exact resume.
"""

from __future__ import annotations

import zlib

import numpy as np

from neocog.types import SampleKey


def generator(key: SampleKey, operation: str) -> np.random.Generator:
    """A NumPy generator for one operation on one use of one sample."""
    return np.random.Generator(
        np.random.PCG64([key.seed, key.epoch, key.index, zlib.crc32(operation.encode())])
    )
