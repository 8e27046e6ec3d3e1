"""Of figures of kernels on photographs and of what an output sees: SciPy's and torch's results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from tests.references.figures.check import Check
from tests.references.figures.signals import spoilt

from neocog.ops.arithmetic import Field
from neocog.pictures.figure import Figure

LAPLACIANS = {
    "laplacian": [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    "laplacian-4": [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],
}


def _laplacians(figure: Figure) -> None:
    grey = figure.values["grey"].astype(float)
    for name, kernel in LAPLACIANS.items():
        expected = ndimage.convolve(grey, np.array(kernel), mode="mirror")
        np.testing.assert_allclose(figure.values[name], expected, atol=1e-3)


def _slopes(figure: Figure) -> None:
    values = figure.values
    x, y = (ndimage.sobel(values["crop"], axis)[1:-1, 1:-1] for axis in (1, 0))
    np.testing.assert_allclose(values["x"], x, atol=1e-6)
    np.testing.assert_allclose(values["y"], y, atol=1e-6)
    np.testing.assert_allclose(values["magnitude"], np.sqrt(x**2.0 + y**2.0))
    assert np.ptp(values["crop"]) > 100, "no edge"


def _sparse(figure: Figure) -> None:
    values = figure.values
    slopes = [ndimage.sobel(values["grey"], axis, mode="mirror") for axis in (0, 1)]
    expected = np.sqrt(slopes[0] ** 2 + slopes[1] ** 2)
    np.testing.assert_allclose(values["edges"], expected, atol=1e-9)
    few = [float(np.mean(one < 0.05)) for one in (values["grey"], expected / expected.max())]
    np.testing.assert_allclose(values["shares"], few)
    assert few[1] > 0.7 > 0.1 > few[0]


def _six_maps(figure: Figure) -> None:
    values = figure.values
    picture = torch.from_numpy(values["picture"]).permute(2, 0, 1)[None]
    filters = torch.from_numpy(values["filters"]).permute(0, 3, 1, 2)
    expected = torch.nn.functional.conv2d(picture, filters)[0].numpy()
    np.testing.assert_allclose(values["maps"], expected, atol=1e-12)
    assert (len(filters), int(values["count"])) == expected.shape[:2]


def _seen(figure: Figure) -> None:
    """What an output depends on: where the gradient of the middle one is not zero."""
    grid = torch.zeros(1, 1, 9, 9, requires_grad=True)
    for dilation, seen, span in zip((1, 2, 3), figure.values["seen"], figure.values["spans"], strict=True):
        out = torch.nn.functional.conv2d(grid, torch.ones(1, 1, 3, 3), padding=dilation, dilation=dilation)
        (slope,) = torch.autograd.grad(out[0, 0, 4, 4], grid)
        assert (seen == slope[0, 0].numpy()).all()
        rows = np.flatnonzero(seen.any(axis=1))
        assert span == rows[-1] - rows[0] + 1
    row = torch.zeros(1, 1, 31, requires_grad=True)
    out, sizes = row, [1]
    for dilation in (1, 2, 4):
        out = torch.nn.functional.conv1d(out, torch.ones(1, 1, 3), padding=dilation, dilation=dilation)
        (slope,) = torch.autograd.grad(out[0, 0, 15], row, retain_graph=True)
        sizes.append(int((slope != 0).sum()))
    assert figure.values["sizes"].tolist() == sizes


def _wider(result: Any) -> Any:
    return replace(result, size=result.size + 1) if isinstance(result, Field) else spoilt(result)


CHECKS = {
    "laplacian-photograph": Check(_laplacians, ("filter_image",), spoilt),
    "sobel-close-up": Check(_slopes, ("filter_image",), spoilt),
    "edges-as-sparsity": Check(_sparse, ("filter_image",), spoilt),
    "six-filters": Check(_six_maps, ("correlate", "conv_out"), spoilt),
    "dilation": Check(_seen, ("effective_kernel", "filter_image", "Field"), _wider),
}
