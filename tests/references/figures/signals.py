"""Of figures of signals and of kernels that slide: SciPy's, torch's and closed results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import signal, stats
from tests.references.figures.check import Check

from neocog.ops.integral import Integral, Trace
from neocog.ops.kde import Density
from neocog.pictures.figure import Figure, Moving
from neocog.pictures.svg import Element


def spoilt(result: Any) -> Any:
    """One too large, whatever it is."""
    if isinstance(result, Integral | Density):
        return replace(result, values=result.values + 1)
    if isinstance(result, Trace):
        return replace(result, area=result.area + 1)
    return result + 1 if isinstance(result, int) else result + np.ones(1, result.dtype)


def _smoothed(figure: Figure) -> None:
    pulse = figure.values["pulse"]
    for width in (5, 21):
        expected = signal.convolve(pulse, np.full(width, 1 / width), "same")
        np.testing.assert_allclose(figure.values[f"box {width}"], expected, atol=1e-12)


def _squares(t: np.ndarray) -> Any:
    return np.maximum(1 - np.abs(t), 0)


def _exponential(t: np.ndarray) -> Any:
    """1 - exp(-t) while the square lasts; what of it is left after."""
    return np.exp(-np.maximum(t - 1, 0)) - np.exp(-np.maximum(t, 0))


def _integral(figure: Figure, expected: Any) -> None:
    values = figure.values
    np.testing.assert_allclose(values["result"], expected(values["t"]), atol=1e-9)
    np.testing.assert_allclose(values["areas"], expected(values["shifts"]), atol=1e-9)
    assert isinstance(figure, Moving)
    assert len(figure.frames) == len(values["shifts"])
    _last_frame_is_the_curve(figure)
    assert f"= {values['areas'][-1]:.3f}</text>" in figure.frame(-1).svg


def _last_frame_is_the_curve(figure: Moving) -> None:
    """The line that the last frame draws, back from pixels to shares of its width and height."""
    (drawn,) = (
        str(one.attributes["d"])
        for one in _elements(figure.frames[-1])
        if one.tag == "path" and "stroke:var(--accent)" in str(one.attributes["style"])
    )
    x, y = np.array([point.split(" ") for point in drawn.removeprefix("M").split("L")], float).T
    t, result = figure.values["t"], figure.values["result"]
    places = t[0] + (x - x[0]) / (x[-1] - x[0]) * (t[-1] - t[0])
    np.testing.assert_allclose((y[0] - y) / np.ptp(y), np.interp(places, t, result) / result.max(), atol=1e-3)


def _elements(children: Iterable[Element | str]) -> Iterator[Element]:
    for child in children:
        if isinstance(child, Element):
            yield child
            yield from _elements(child.children)


def _differentiated(figure: Figure) -> None:
    values, normal = figure.values, stats.norm(scale=0.4)
    rise, fall = values["place"] + 1.975, values["place"] - 1.975  # half a sample within the edges at 2
    np.testing.assert_allclose(values["smooth"], normal.cdf(rise) - normal.cdf(fall), atol=1e-3)
    np.testing.assert_allclose(values["derivative"], normal.pdf(rise) - normal.pdf(fall), atol=2e-3)
    np.testing.assert_allclose(values["derivative"], values["quotient"], atol=5e-3)
    assert np.abs(values["derivative"]).max() > 0.9


def _estimated(figure: Figure) -> None:
    values = figure.values
    samples = values["samples"]
    exact = stats.gaussian_kde(samples, 0.4 / samples.std(ddof=1))(values["place"])
    np.testing.assert_allclose(values["density"], exact, atol=1e-6)
    np.testing.assert_allclose(values["convolution"], exact, atol=0.01 * exact.max())
    assert np.isclose(values["spikes"].sum(), 1)
    counts = [((samples >= at) & (samples < at + 0.5)).sum() for at in np.arange(-5, 5, 0.5)]
    np.testing.assert_allclose(values["histogram"], np.array(counts) / len(samples) / 0.5)


def _scanned(figure: Figure) -> None:
    values = figure.values
    expected = signal.correlate2d(values["picture"], values["kernel"], "valid")
    assert (values["result"] == expected).all()
    assert isinstance(figure, Moving)
    assert len(figure.frames) == expected.size
    last = str(figure.frame(-1).svg)
    assert all(f">{value}</text>" in last for value in expected.flat)


def _stepped(figure: Figure) -> None:
    expected = signal.convolve2d(figure.values["picture"], figure.values["kernel"], "valid")
    np.testing.assert_allclose(figure.values["result"], expected)
    assert f">sum = {expected[5, 2]:.0f}</text>" in str(_only(figure))


def _strided(figure: Figure) -> None:
    values = figure.values
    picture, kernel = (torch.from_numpy(values[name])[None, None].float() for name in ("picture", "kernel"))
    expected = torch.nn.functional.conv2d(picture, kernel, stride=2, padding=1)[0, 0].numpy()
    assert (values["result"] == expected).all()
    assert values["count"] == len(expected)
    assert isinstance(figure, Moving)
    assert len(figure.frames) == expected.size


def _mapped(figure: Figure) -> None:
    picture = torch.from_numpy(figure.values["picture"])[None, None]
    kernels = torch.from_numpy(figure.values["kernels"])[:, None]
    expected = torch.nn.functional.conv2d(picture, kernels)[0].numpy()
    np.testing.assert_allclose(figure.values["maps"], expected)
    assert isinstance(figure, Moving)
    assert len(figure.frames) == expected[0].size


def _only(figure: Figure) -> str:
    assert not isinstance(figure, Moving)
    return figure.svg


CHECKS = {
    "pulse-smoothing": Check(_smoothed, ("convolve",), spoilt),
    "integral-squares": Check(
        lambda figure: _integral(figure, _squares), ("convolve_functions", "trace"), spoilt
    ),
    "integral-exponential": Check(
        lambda figure: _integral(figure, _exponential), ("convolve_functions", "trace"), spoilt
    ),
    "pulse-derivative": Check(_differentiated, ("convolve",), spoilt),
    "density": Check(_estimated, ("convolve", "kernel_density"), spoilt),
    "binary-image": Check(_scanned, ("correlate",), spoilt),
    "one-step": Check(_stepped, ("convolve",), spoilt),
    "stride-and-padding": Check(_strided, ("correlate", "conv_out"), spoilt),
    "two-maps": Check(_mapped, ("correlate",), spoilt),
}
