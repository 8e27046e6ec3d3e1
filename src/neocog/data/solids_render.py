"""A shaded solid in a pose, under a light: what the inverse-graphics network has to take apart again.

A solid is a head of ellipsoids: face, nose, two eyes, two ears, dark hair behind and a light tuft. Its axes
are x to its left, which the viewer sees at the right, y up and z to where the nose points; no turn within
the range shows the same picture twice. It is seen orthographically, lit by one distant light (Lambert) and
an ambient one.

Azimuth turns it about its y axis (positive: the nose moves to the right), elevation then about the camera's
x axis (positive: the nose moves up). The light stays where it is when the solid turns: it stands `HEIGHT`
degrees high, at an azimuth of its own (positive: from the right). All angles are in degrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # raise it whenever any picture or truth changes

RANGES = {"azimuth": (-75.0, 75.0), "elevation": (-30.0, 30.0), "light": (-75.0, 75.0)}
"""Of the angles, in degrees."""

TRAITS = ("width", "height", "depth", "nose", "nose height", "eyes", "ears", "tuft")
"""What the numbers of a shape, each in [0, 1], stand for."""

HEIGHT = 30.0
AMBIENT = 0.25  # share of the light that comes from everywhere
BACKGROUND = 0.08
REACH = 1.25  # the picture covers [-REACH, REACH] of the solid's lengths

_SKIN, _HAIR, _DARK = 0.95, 0.30, 0.10

Shape = NDArray[np.float64]  # (len(TRAITS),) in [0, 1]


def parts(shape: Shape) -> NDArray[np.float64]:
    """The ellipsoids (8, 7) of a shape: centre x y z, radii, and the share of light they reflect."""
    width, height, depth, nose, nose_height, eyes, ears, tuft = (
        low + (high - low) * value
        for (low, high), value in zip(
            (
                (0.55, 0.75),
                (0.70, 0.92),
                (0.55, 0.75),
                (0.25, 0.45),
                (-0.25, 0.05),
                (0.30, 0.60),
                (0.12, 0.32),
                (-0.7, 0.7),
            ),
            shape,
            strict=True,
        )
    )
    eye_x, eye_y = eyes * width, 0.3 * height
    eye_z = depth * np.sqrt(1 - eyes**2 - 0.3**2)
    nose_z = depth * np.sqrt(1 - (nose_height / height) ** 2)
    tuft_x, tuft_y = 0.8 * width * np.sin(tuft), 0.95 * height * np.cos(tuft)
    return np.array(
        [
            [0.0, 0.0, 0.0, width, height, depth, _SKIN],
            [0.0, nose_height, nose_z, 0.13, 0.17, nose, _SKIN],
            [-eye_x, eye_y, eye_z, 0.12, 0.10, 0.10, _DARK],
            [eye_x, eye_y, eye_z, 0.12, 0.10, 0.10, _DARK],
            [-width, 0.0, 0.0, 0.14, ears, 0.5 * ears, _SKIN],
            [width, 0.0, 0.0, 0.14, ears, 0.5 * ears, _SKIN],
            [0.0, 0.14 * height, -0.24 * depth, 1.01 * width, 0.98 * height, 0.92 * depth, _HAIR],
            [tuft_x, 1.06 * tuft_y, -0.1, 0.18, 0.18, 0.18, _SKIN],
        ]
    )


def turn(azimuth: float, elevation: float) -> NDArray[np.float64]:
    """(3, 3): from the solid's axes to the camera's."""
    (sin_a, sin_e), (cos_a, cos_e) = (f(np.radians([azimuth, elevation])) for f in (np.sin, np.cos))
    about_y = np.array([[cos_a, 0, sin_a], [0, 1, 0], [-sin_a, 0, cos_a]])
    about_x = np.array([[1, 0, 0], [0, cos_e, sin_e], [0, -sin_e, cos_e]])
    return np.asarray(about_x @ about_y)


def light_direction(light: float) -> NDArray[np.float64]:
    """(3,) of length 1: from the solid to the light, in the camera's axes."""
    across, up = np.radians([light, HEIGHT])
    return np.array([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)])


def render_solid(
    shape: Shape, azimuth: float, elevation: float, light: float, size: int = 64
) -> NDArray[np.uint8]:
    """(size, size) uint8: the solid of this shape, angles in degrees."""
    from neocog.data import solids_kernel

    image: NDArray[np.uint8] = solids_kernel.draw(
        parts(shape), turn(azimuth, elevation), light_direction(light), AMBIENT, BACKGROUND, size, REACH
    )
    return image
