"""Kernel density estimation as it is defined: every point against every sample."""

from __future__ import annotations

import math

import numpy as np


def direct_density(
    points: np.ndarray, samples: np.ndarray, weights: np.ndarray, covariance: np.ndarray, kernel: str
) -> np.ndarray:
    """Densities (P,) at points (P, d) from samples (N, d) of weights (N,); the covariance is the kernel's."""
    d = samples.shape[1]
    inverse = np.linalg.inv(covariance)
    ball = 2 if d == 1 else math.pi
    found = []
    for point in points:
        offsets = point - samples
        squared = ((offsets @ inverse) * offsets).sum(axis=1)
        if kernel == "gaussian":
            heights = np.exp(-squared / 2) / math.sqrt((2 * math.pi) ** d)
        elif kernel == "epanechnikov":
            radius = math.sqrt(d + 4)
            heights = (d + 2) / (2 * ball) * np.maximum(1 - squared / radius**2, 0) / radius**d
        else:
            radius = math.sqrt(d + 2)
            heights = (squared < radius**2) / (ball * radius**d)
        found.append((weights * heights).sum() / math.sqrt(np.linalg.det(covariance)))
    densities: np.ndarray = np.array(found) / weights.sum()
    return densities
