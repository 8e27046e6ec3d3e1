"""Of figures of signals and of kernels that slide: SciPy's results."""

from __future__ import annotations

import numpy as np
from scipy import signal
from tests.references.figures.check import Check

from neocog.pictures.figure import Figure, Moving


def _spoilt(result: np.ndarray) -> np.ndarray:
    return result + np.ones(1, result.dtype)


def _smoothed(figure: Figure) -> None:
    pulse = figure.values["pulse"]
    for width in (5, 21):
        expected = signal.convolve(pulse, np.full(width, 1 / width), "same")
        np.testing.assert_allclose(figure.values[f"box {width}"], expected, atol=1e-12)


def _scanned(figure: Figure) -> None:
    values = figure.values
    expected = signal.correlate2d(values["picture"], values["kernel"], "valid")
    assert (values["result"] == expected).all()
    assert isinstance(figure, Moving)
    assert len(figure.frames) == expected.size
    last = str(figure.frame(-1).svg)
    assert all(f">{value}</text>" in last for value in expected.flat)


CHECKS = {
    "pulse-smoothing": Check(_smoothed, ("convolve",), _spoilt),
    "binary-image": Check(_scanned, ("correlate",), _spoilt),
}
