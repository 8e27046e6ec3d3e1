"""The operators that an export writes, in both runtimes, against the library's own on boxes of all kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.export.operators import kept, roi_align, roi_pool, translations
from neocog.export.packages import quiet
from neocog.export.reader import OnnxSession, OpenVinoSession

RUNTIMES = {"onnx": OnnxSession, "openvino": OpenVinoSession}


class Calls(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        return self.function(first, second, third)


def written(
    function: Callable[..., Tensor],
    inputs: tuple[Tensor, ...],
    shapes: Any,
    file: Path,
    drops_equal: bool = False,
) -> Path:
    """A function of three tensors as an ONNX file."""
    names = ["first", "second", "third"]
    with quiet():
        program = torch.onnx.export(
            Calls(function),
            inputs,
            dynamo=True,
            verbose=False,
            input_names=names,
            output_names=["found"],
            dynamic_shapes=dict(zip(names, shapes, strict=True)),
            custom_translation_table=translations(drops_equal),
        )
        assert program is not None
        program.save(file)
    return file


def run(runtime: str, file: Path, inputs: tuple[Tensor, ...]) -> np.ndarray:
    session: Any = RUNTIMES[runtime](file, 1)
    feed = {name: value.numpy() for name, value in zip(("first", "second", "third"), inputs, strict=True)}
    found: np.ndarray = session.run({name: feed[name] for name in session.inputs})["found"]
    return found


def regions(count: int, width: float, height: float) -> tuple[Tensor, Tensor]:
    """Boxes in a picture, one thin, one on its border, one all of it, and the picture of each of two."""
    draw = torch.Generator().manual_seed(count)
    points = torch.rand(count, 2, 2, generator=draw) * torch.tensor([width, height])
    boxes = torch.cat([points.amin(1), points.amax(1)], dim=1)
    boxes[::5] = boxes[::5].round()
    boxes[1] = torch.tensor([0.0, 0.0, width, height])
    boxes[2, 2] = boxes[2, 0] + 1
    boxes[3, 2:] = torch.tensor([width, height])
    return boxes, torch.arange(count) % 2


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("cells", [5, 7])
def test_pooled_regions_are_the_library_s(runtime: str, cells: int, tmp_path: Path) -> None:
    """RoI max-pooling, RoIAlign with a sample a cell, and RoIAlign as torchvision's detector has it."""

    def pooled(maps: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
        where = maps, boxes, images, cells, 1 / 8
        every = roi_pool(*where), roi_align(*where, 0, True), roi_align(*where, 2, False)
        return torch.stack(every)

    maps = torch.randn(2, 3, 19, 30, generator=torch.Generator().manual_seed(0))
    inputs = (maps, *regions(200, 238, 150))
    count = torch.export.Dim("count", min=1)
    shapes: Any = ({}, {0: count}, {0: count})
    file = written(pooled, (maps, *regions(7, 100, 90)), shapes, tmp_path / "pool.onnx")
    np.testing.assert_allclose(run(runtime, file, inputs), pooled(*inputs), atol=1e-5)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_suppression_is_the_library_s(runtime: str, tmp_path: Path) -> None:
    """Ties of scores, boxes that are equal or have no area, an IoU of exactly the threshold, absent boxes."""

    def suppressed(boxes: Tensor, scores: Tensor, _: Tensor) -> Tensor:
        mask: Tensor = kept(boxes, scores, 0.5)
        return mask

    draw = torch.Generator().manual_seed(1)
    corners = torch.randint(0, 24, (3, 80, 2), generator=draw).float()
    boxes = torch.cat([corners, corners + torch.randint(0, 12, (3, 80, 2), generator=draw)], dim=2)
    boxes[0, :2] = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0]])  # IoU of one half
    scores = torch.randint(-1, 12, (3, 4, 80), generator=draw).float() / 12
    scores[scores < 0] = -1.0
    unused = torch.zeros(1)
    batch, places = torch.export.Dim("batch", min=1), torch.export.Dim("places", min=2)
    shapes: Any = ({0: batch, 1: places}, {0: batch, 2: places}, {})
    few = boxes[:2, :9], scores[:2, :, :9], unused
    file = written(suppressed, few, shapes, tmp_path / "nms.onnx", drops_equal=runtime == "openvino")
    for found in ((boxes, scores, unused), (boxes[:1, :2], scores[:1, :, :2], unused)):
        np.testing.assert_array_equal(run(runtime, file, found), suppressed(*found))
    none = torch.full_like(scores, -1.0)
    assert not run(runtime, file, (boxes, none, unused)).any()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_adaptive_means_follow_maps_of_any_size(runtime: str, tmp_path: Path) -> None:
    def mean(maps: Tensor, _: Tensor, __: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(maps, (4, 7))

    unused, draw = torch.zeros(1), torch.Generator().manual_seed(2)
    sides = {2: torch.export.Dim("rows", min=2), 3: torch.export.Dim("columns", min=2)}
    file = written(mean, (torch.zeros(2, 3, 9, 8), unused, unused), (sides, {}, {}), tmp_path / "mean.onnx")
    for rows, columns in ((3, 2), (4, 7), (13, 30)):
        maps = torch.randn(2, 3, rows, columns, generator=draw)
        found = run(runtime, file, (maps, unused, unused))
        np.testing.assert_allclose(found, mean(maps, unused, unused), atol=1e-6)
