"""The feature pyramid: how maps are merged, which map a region is read from, and who proposes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.ops.anchors import corner_anchors, corner_grid
from neocog.ops.boxes import clip, shorter_side
from neocog.ops.nms import nms
from neocog.ops.roi import roi_align
from neocog.parts.fpn import FeaturePyramid, PyramidRPN, map_of, pyramid_align
from neocog.parts.regions import Regions
from neocog.parts.rpn import RPN, RPNOptions
from neocog.testing import FULL, make_batch

STRIDES = (4, 8, 16, 32)


def some_boxes(count: int = 200, size: float = 600.0) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    corners = torch.rand(count, 2, generator=rng) * size / 2
    sides = (torch.rand(count, 2, generator=rng) * 6 + 1).exp()  # 3 to 1,100 pixels
    return torch.cat([corners, corners + sides], dim=1)


def test_every_map_adds_the_enlarged_one_above_it() -> None:
    torch.manual_seed(0)
    pyramid = FeaturePyramid((3, 5, 7), 8)
    maps = [torch.randn(2, channels, side, side + 1) for channels, side in ((3, 12), (5, 6), (7, 3))]
    lateral = [layer(one) for layer, one in zip(pyramid.lateral, maps, strict=True)]
    middle = lateral[1] + F.interpolate(lateral[2], size=(6, 7), mode="nearest")
    fine = lateral[0] + F.interpolate(middle, size=(12, 13), mode="nearest")
    found = pyramid(maps)
    for mine, layer, merged in zip(found, pyramid.smooth, (fine, middle, lateral[2]), strict=False):
        torch.testing.assert_close(mine, layer(merged))
    assert len(found) == 4
    assert torch.equal(found[3], found[2][:, :, ::2, ::2])


def test_no_map_knows_of_finer_ones() -> None:
    torch.manual_seed(0)
    pyramid = FeaturePyramid((3, 3), 4)
    fine, coarse = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 4, 4)
    before, after = pyramid([fine, coarse]), pyramid([fine + 1, coarse])
    assert torch.equal(before[1], after[1]) and not torch.equal(before[0], after[0])


def level_in_words(box: list[float], canonical: float) -> int:
    """Equation 1 of the paper, and the nearest map there is."""
    side = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    wanted = 4 + math.floor(math.log2(side / canonical) + 1e-6) if side else 2
    return min(max(wanted, 2), 5) - 2


@pytest.mark.parametrize("canonical", [224.0, 112.0])
def test_a_region_is_read_from_the_map_of_its_size(canonical: float) -> None:
    boxes = some_boxes()
    found = map_of(boxes, STRIDES, canonical)
    assert found.tolist() == [level_in_words(box, canonical) for box in boxes.tolist()]
    assert set(found.tolist()) == {0, 1, 2, 3}


def test_sizes_of_the_paper() -> None:
    sides = torch.tensor([0, 20, 111.9, 112, 223.9, 224, 447, 448, 5000])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], dim=1)
    assert map_of(boxes, STRIDES).tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert map_of(boxes, (8, 16)).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


def test_regions_come_back_in_their_order() -> None:
    torch.manual_seed(0)
    boxes = some_boxes(60)
    regions = Regions(boxes, torch.arange(60) % 2)
    maps = [torch.randn(2, 6, 640 // stride, 640 // stride, requires_grad=True) for stride in STRIDES]
    found = pyramid_align(maps, STRIDES, regions, 5)
    for place, level in enumerate(map_of(boxes, STRIDES).tolist()):
        one = slice(place, place + 1)
        alone = roi_align(maps[level], boxes[one], regions.images[one], (5, 5), 1 / STRIDES[level], 2)
        torch.testing.assert_close(found[one], alone)
    found.sum().backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in maps)


def test_no_regions_are_no_error() -> None:
    maps = [torch.randn(1, 6, 8, 8), torch.randn(1, 6, 4, 4)]
    regions = Regions(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    assert pyramid_align(maps, (4, 8), regions, 5).shape == (0, 6, 5, 5)


OPTIONS = RPNOptions(
    scales=(1, 2, 4), channels=8, before_nms=(40, 25), after_nms=(60, 30), nms=0.5, shortest=4.0
)


def proposing(corner: bool = False) -> tuple[PyramidRPN, list[Tensor]]:
    torch.manual_seed(0)
    rpn = PyramidRPN(6, (4, 8, 16), OPTIONS, corner)
    for layer in (rpn.shared.logits, rpn.shared.deltas):
        torch.nn.init.normal_(layer.weight, std=1.0)
    return rpn, [torch.randn(2, 6, 96 // stride, 96 // stride) for stride in (4, 8, 16)]


@pytest.mark.parametrize("corner", [False, True])
@torch.inference_mode()
def test_proposals_are_the_best_of_every_map(corner: bool) -> None:
    """Of each: decoded, cut to the picture, without the small, suppressed; then the best of them all."""
    rpn, maps = proposing(corner)
    batch = make_batch([FULL, FULL]).without_targets()
    output = rpn(maps, (96, 96), batch)
    counts = [3 * one.shape[2] * one.shape[3] for one in maps]
    assert len(output.anchors) == sum(counts) == output.logits.shape[1] == output.deltas.shape[1]
    for image in range(2):
        boxes, scores = [], []
        parts = zip(*(part.split(counts) for part in _of_image(output, image)), strict=True)
        for anchors, logits, deltas in parts:
            score = (logits[:, 0] - logits[:, 1]).sigmoid()
            best = score.argsort(descending=True)[:25]
            decoded = clip(rpn.shared.coder.decode(deltas[best], anchors[best]), batch.limits[image])
            large = shorter_side(decoded) >= 4
            decoded, score = decoded[large], score[best][large]
            kept = nms(decoded, score, 0.5)
            boxes.append(decoded[kept])
            scores.append(score[kept])
        order = torch.cat(scores).argsort(descending=True)[:30]
        assert len(order) == 30 and all(len(one) for one in boxes)
        torch.testing.assert_close(output.proposals[image].boxes, torch.cat(boxes)[order])
        torch.testing.assert_close(output.proposals[image].scores, torch.cat(scores)[order])


def _of_image(output: object, image: int) -> tuple[Tensor, Tensor, Tensor]:
    return output.anchors, output.logits[image], output.deltas[image]  # type: ignore[attr-defined]


def test_a_pyramid_of_one_map_is_the_plain_network() -> None:
    torch.manual_seed(0)
    options = replace(OPTIONS, scales=(2,))
    rpn, plain = PyramidRPN(6, (8,), options), RPN(6, 8, options)
    plain.load_state_dict(rpn.shared.state_dict())
    features, batch = torch.randn(2, 6, 12, 12), make_batch([FULL, FULL[:1]])
    mine, expected = rpn([features], (96, 96), batch), plain(features, batch)
    assert torch.equal(mine.anchors, expected.anchors) and torch.equal(mine.logits, expected.logits)
    for one, other in zip(mine.proposals, expected.proposals, strict=True):
        assert torch.equal(one.boxes, other.boxes)
    assert rpn.loss(mine, batch) == plain.loss(expected, batch)


def test_every_map_has_its_scale() -> None:
    rpn, maps = proposing()
    anchors = rpn(maps, (96, 96), make_batch([FULL, FULL])).anchors
    sides = (anchors[:, 2:] - anchors[:, :2]).prod(dim=1).sqrt()
    counts = [3 * one.shape[2] * one.shape[3] for one in maps]
    for part, wanted in zip(sides.split(counts), (16, 32, 64), strict=True):
        assert ((part / wanted - 1).abs() < 0.05).all()
    with pytest.raises(ValueError, match="3 maps need one each"):
        PyramidRPN(6, (4, 8, 16), replace(OPTIONS, scales=(1, 2)))


def test_anchors_of_torchvision() -> None:
    """The table that its `AnchorGenerator` prints for the first and the last map."""
    assert corner_anchors(32).tolist() == [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
    assert corner_anchors(512).tolist() == [
        [-362, -181, 362, 181],
        [-256, -256, 256, 256],
        [-181, -362, 181, 362],
    ]
    grid = corner_grid(corner_anchors(32), (2, 3), (96, 100)).view(2, 3, 3, 4)
    centres = (grid[..., :2] + grid[..., 2:]) / 2
    assert centres[:, :, 1].tolist() == [[[0, 0], [33, 0], [66, 0]], [[0, 48], [33, 48], [66, 48]]]
