"""Of figures of pooling, of shared weights and of networks: torch's, SciPy's and published numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy import ndimage, signal
from tests.references.figures.check import Check
from torch.nn import functional as F

from neocog.ops.summary import Row, Summary
from neocog.pictures.figure import Figure


def _more(result: Any) -> Any:
    """Too large: a number, array or tensor, the first of a tuple, a summary."""
    if isinstance(result, tuple):
        return (_more(result[0]), *result[1:])
    if isinstance(result, Summary):
        return replace(
            result,
            rows=tuple(map(_more, result.rows)),
            parameters=2 * result.parameters + 1,
            multiply_adds=2 * result.multiply_adds + 1,
        )
    if isinstance(result, Row):
        shape = tuple(side + 1 for side in result.shape)
        return replace(result, parameters=2 * result.parameters + 1, shape=shape)
    return result + 1 if isinstance(result, torch.Tensor | np.ndarray) else 2 * result + 1


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)[None, None].double()


def _max_pooled(figure: Figure) -> None:
    values = figure.values
    expected, places = F.max_pool2d(_tensor(values["map"]), 2, return_indices=True)
    np.testing.assert_array_equal(values["maxima"], expected[0, 0])
    np.testing.assert_array_equal(values["switches"], places[0, 0])
    np.testing.assert_array_equal(values["means"], F.avg_pool2d(_tensor(values["map"]), 2)[0, 0])


def _large_pooled(figure: Figure) -> None:
    values = figure.values
    blocks = values["map"].reshape(112, 2, 112, 2)
    np.testing.assert_array_equal(values["pooled"], blocks.max(axis=(1, 3)))
    assert values["sides"].tolist() == [224, 112]
    rises = ndimage.sobel(values["bright"], axis=1, mode="nearest")
    np.testing.assert_allclose(values["map"], rises.clip(min=0), atol=1e-12)


def _unpooled(figure: Figure) -> None:
    for prefix, kernel in (("", 2), ("large ", 4)):
        maps = _tensor(figure.values[f"{prefix}map"])
        pooled, places = F.max_pool2d(maps, kernel, return_indices=True)
        expected = {
            "unpooled": F.max_unpool2d(pooled, places, [kernel, kernel]),
            "nearest": F.interpolate(pooled, scale_factor=kernel),
            "bilinear": F.interpolate(pooled, scale_factor=kernel, mode="bilinear"),
        }
        for name, wanted in expected.items():
            np.testing.assert_allclose(figure.values[prefix + name], wanted[0, 0], atol=1e-5)


def _invariant(figure: Figure) -> None:
    detectors, shown, peaks = (figure.values[name] for name in ("detectors", "shown", "peaks"))
    for picture, row in zip(shown, peaks, strict=True):
        level = (picture - picture.mean()) / picture.std() / picture.size**0.5
        wanted = [signal.correlate2d(level, one, "same").max() for one in detectors]
        np.testing.assert_allclose(row, wanted, atol=1e-9)
    assert (peaks.argmax(axis=1) == [0, 1, 2]).all()
    others = peaks[~np.eye(3, dtype=bool)]
    assert figure.values["best"].min() > 0.85
    assert others.max() < 0.6


def _shifted(figure: Figure) -> None:
    values = figure.values
    np.testing.assert_array_equal(values["moved units"][1:], values["units"][:-1])
    for name in ("units", "moved units"):
        wanted = ndimage.maximum_filter1d(values[name], 3, mode="constant")
        np.testing.assert_array_equal(values[name.replace("units", "pooled")], wanted)


def _shared(figure: Figure) -> None:
    taps = figure.values["taps"]
    assert taps.tolist() == [[max(i - j + 1, 0) * (i - j < 3) for i in range(7)] for j in range(5)]
    assert figure.values["counts"].tolist() == [taps.size, (taps > 0).sum(), len(set(taps.flat) - {0})]


def _counted(figure: Figure) -> None:
    assert figure.values["counts"].tolist() == [10**12, 10**8, 100]


def _mixed(figure: Figure) -> None:
    values = figure.values
    np.testing.assert_allclose(
        values["maps"], np.tensordot(values["matrix"], values["channels"], 1), atol=1e-12
    )
    layers = [torch.nn.Conv2d(64, 16, kernel) for kernel in (1, 3)]
    assert values["counts"].tolist() == [sum(p.numel() for p in one.parameters()) for one in layers]


def _digits_seen(figure: Figure) -> None:
    values = figure.values
    assert values["parameters"].tolist() == [180 + 5, 450 + 10, 1600 + 10]
    assert values["right"].mean() > 0.8
    assert values["scores"].argmax() == values["label"]
    # The maps, once more from the picture and the kernels: up to a bias, one number for each map.
    level = (values["picture"].mean(axis=0) - 0.1307) / 0.3081
    for kernel, made in zip(values["kernels"], values["conv1"], strict=True):
        wanted = signal.correlate2d(level, kernel, "valid")[::2, ::2]
        assert np.ptp(made - wanted) < 1e-4
    pooled = values["conv1"].reshape(5, 6, 2, 6, 2).max(axis=(2, 4)).clip(min=0)
    np.testing.assert_allclose(values["pool1"], pooled, atol=1e-6)
    assert values["conv2"].shape == (10, 4, 4)
    assert abs(values["scores"].sum() - 1) < 1e-5


def _three_blocks(figure: Figure) -> None:
    values = figure.values
    sides = [side for channels, side, _ in values["shapes"].tolist()]
    assert sides == [128, 128, 64, 64, 32, 32, 16]
    assert [channels for channels, _, _ in values["shapes"].tolist()] == [3] + 6 * [32]
    weights = [
        7 * 7 * 3 * 32 + 32,
        0,
        7 * 7 * 32 * 32 + 32,
        0,
        7 * 7 * 32 * 32 + 32,
        0,
        32 * 16 * 16 * 3 + 3,
    ]
    assert values["parameters"].tolist() == weights
    for block in (1, 2, 3):
        conv = torch.from_numpy(values[f"conv{block}"])
        assert conv.min() == 0
        np.testing.assert_array_equal(values[f"pool{block}"], F.max_pool2d(conv, 2))


def _published(figure: Figure) -> None:
    """Parameters and multiply-adds as torchvision's documentation has them; LeNet-5's by hand."""
    wanted = [
        [5, 61_706, 28**2 * 6 * 25 + 10**2 * 16 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10, 16],
        [8, 61_100_840, 714_188_480, 195],
        [16, 138_357_544, 15_470_264_320, 212],
    ]
    assert figure.values["table"].tolist() == wanted


def _localized(figure: Figure) -> None:
    values = figure.values
    (x0, y0, x1, y1), (u0, v0, u1, v1) = values["truth"], values["box"]
    shared = max(0.0, min(x1, u1) - max(x0, u0)) * max(0.0, min(y1, v1) - max(y0, v0))
    union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared
    assert abs(values["iou"] - shared / union) < 1e-5
    np.testing.assert_allclose(values["mean"], values["seen"].mean(axis=(1, 2)), atol=1e-6)
    scores = np.exp(values["logits"]) / np.exp(values["logits"]).sum()
    np.testing.assert_allclose(values["scores"], scores, atol=1e-6)
    box, truth = (torch.from_numpy(values[name] / 128) for name in ("box", "truth"))
    wanted = -np.log(scores[values["label"]]), float(F.smooth_l1_loss(box, truth, reduction="sum", beta=0.02))
    np.testing.assert_allclose(values["losses"], wanted, rtol=1e-4)


def _skipped(figure: Figure) -> None:
    """Table and figure 3 of the paper: strides 32, 16, 8, by way of two doublings."""
    values = figure.values
    assert values["last"].tolist() == [32, 16, 8]
    assert values["between"].tolist() == [2, 2]
    assert [values[f"pool{k}"].tolist() for k in range(1, 6)] == [
        [channels, 224 // 2**k, 224 // 2**k] for k, channels in enumerate((64, 128, 256, 512, 512), 1)
    ]
    assert values["fc7"].tolist() == [4096, 7, 7]
    assert [values[f"scores pool{k}"].tolist() for k in (5, 4, 3)] == [[21, 7, 7], [21, 14, 14], [21, 28, 28]]
    assert (np.diff(values["iou"]) > 0).all()


def _halved(net: Any) -> Any:
    for last in net.lasts:
        last.factor //= 2
    return net


def _mirrored(figure: Figure) -> None:
    """Table 1 of the paper; and torch's unpooling."""
    values = figure.values
    sides = {name: tuple(values[name]) for name in ("fc7", "deconv_fc6")}
    assert sides == {"fc7": (4096, 1, 1), "deconv_fc6": (512, 7, 7)}
    widths = dict(enumerate((64, 64, 128, 256, 512), 1))
    for k in range(1, 6):
        assert tuple(values[f"pool{k}"]) == (64 * 2 ** min(k - 1, 3), 224 // 2**k, 224 // 2**k)
        assert tuple(values[f"deconv{k}"]) == (widths[k], 224 // 2 ** (k - 1), 224 // 2 ** (k - 1))
    maps = _tensor(values["shown picture"])
    for k in range(1, 6):
        pooled, places = F.max_pool2d(maps, 2, return_indices=True)
        np.testing.assert_array_equal(values[f"shown pool{k}"], pooled[0, 0])
        np.testing.assert_array_equal(
            values[f"shown deconv{k}"], F.max_unpool2d(pooled, places, [2, 2])[0, 0]
        )
        maps = pooled


CHECKS = {
    "two-headed-localization": Check(_localized, ("iou",), _more),
    "fcn-architecture": Check(_skipped, ("create",), _halved),
    "deconvnet-architecture": Check(_mirrored, ("max_pool", "unpool"), _more),
    "max-pooling": Check(_max_pooled, ("max_pool", "mean_pool"), _more),
    "large-map-pooled": Check(_large_pooled, ("max_pool", "correlate", "conv_out"), _more),
    "unpooling": Check(_unpooled, ("max_pool", "unpool"), _more),
    "pooling-invariance": Check(_invariant, ("correlate", "max_pool"), _more),
    "pooling-shift": Check(_shifted, ("max_pool",), _more),
    "parameter-sharing": Check(_shared, ("correlate", "dense_parameters"), _more),
    "sharing-counts": Check(_counted, ("dense_parameters", "local_parameters", "conv_parameters"), _more),
    "architecture-digits": Check(_digits_seen, ("summarize",), _more),
    "architecture-three-blocks": Check(_three_blocks, ("summarize",), _more),
    "zoo": Check(_published, ("summarize",), _more),
    "one-by-one": Check(_mixed, ("correlate", "conv_parameters"), _more),
}
