"""A slow renderer of solids: walk along every ray until it is inside, and feel for the surface's slope."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Floats = NDArray[np.float64]


def depth_in_parts(points: Floats, parts: Floats) -> Floats:
    """(P, N): below 0 where a point (N, 3), in the solid's axes, lies inside a part (P, 7)."""
    centres, radii = parts[:, None, :3], parts[:, None, 3:6]
    return np.sqrt((((points - centres) / radii) ** 2).sum(axis=-1)) - 1


def walked(
    parts: Floats,
    azimuth: float,
    elevation: float,
    light: Floats,
    ambient: float,
    background: float,
    size: int,
    reach: float,
    rays: int = 2,
    steps: int = 1500,
) -> Floats:
    """A picture (size, size) of grey levels in [0, 255], not rounded; angles in degrees."""
    to_camera = Rotation.from_euler("x", -elevation, degrees=True) * Rotation.from_euler(
        "y", azimuth, degrees=True
    )
    fine = size * rays
    middles = (np.arange(fine) + 0.5) / fine * 2 * reach - reach
    x, y = (one.ravel() for one in np.meshgrid(middles, -middles))
    far, near = np.full(len(x), np.nan), np.full(len(x), np.nan)
    last = reach * 2
    for z in np.linspace(reach * 2, -reach * 2, steps):
        at = to_camera.inv().apply(np.stack([x, y, np.full(len(x), z)], axis=1))
        entered = (depth_in_parts(at, parts).min(axis=0) < 0) & np.isnan(far)
        far[entered], near[entered] = z, last
        last = z
    hit = ~np.isnan(far)
    for _ in range(40):
        middle = (far + near) / 2
        at = to_camera.inv().apply(np.stack([x, y, np.nan_to_num(middle)], axis=1))
        inside = depth_in_parts(at, parts).min(axis=0) < 0
        far, near = np.where(inside, middle, far), np.where(inside, near, middle)
    at = to_camera.inv().apply(np.stack([x, y, np.nan_to_num(near)], axis=1))
    nearest = depth_in_parts(at, parts).argmin(axis=0)
    slope = np.stack(
        [
            (depth_in_parts(at + move, parts) - depth_in_parts(at - move, parts))[nearest, np.arange(len(x))]
            for move in np.eye(3) * 1e-6
        ],
        axis=1,
    )
    normal = to_camera.apply(slope / np.linalg.norm(slope, axis=1, keepdims=True))
    lit = np.clip(normal @ light, 0, None)
    shade = np.where(hit, parts[nearest, 6] * (ambient + (1 - ambient) * lit), background)
    return 255 * shade.reshape(size, rays, size, rays).mean(axis=(1, 3))
