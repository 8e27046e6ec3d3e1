"""Non-maximum suppression: the fast kernel and the plain version against the definition."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tests.references.suppression import overlap, slow_nms
from torch import Tensor

from neocog.ops.nms import batched_nms, batched_nms_torch, nms, nms_torch

Case = tuple[Tensor, Tensor, Tensor, float]


@st.composite
def cases(draw: st.DrawFn, finite: bool = True) -> Case:
    """Boxes, scores, groups and a threshold, with many ties, touching edges and boxes without area."""
    count = draw(st.integers(0, 24))
    if draw(st.booleans()):
        coordinates = st.integers(-6, 12).map(float)
    else:
        coordinates = st.floats(-1e4, 1e4, width=32)
    if not finite:
        coordinates |= st.sampled_from([float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-40])
    boxes = draw(hnp.arrays(np.float32, (count, 4), elements=coordinates))
    if finite:
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    scores = draw(hnp.arrays(np.float32, count, elements=st.sampled_from([-1.0, -0.0, 0.0, 0.25, 0.5, 0.75])))
    groups = draw(hnp.arrays(np.int64, count, elements=st.sampled_from([-3, 0, 7, 2**40])))
    threshold = draw(st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.7, 1.0]))
    return torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(groups), threshold


def crowd(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Overlapping boxes of sizes from 1 to 300 about 60 places, and scores with ties."""
    draw = torch.Generator().manual_seed(seed)
    places = 1000 * torch.rand(60, 2, generator=draw)
    side = 300 ** torch.rand(count, 1, generator=draw)
    corner = places[torch.randint(0, 60, (count,), generator=draw)] + side * torch.rand(
        count, 2, generator=draw
    )
    stretch = torch.rand(count, 2, generator=draw) + 0.5
    return torch.cat([corner, corner + side * stretch], 1), (100 * torch.rand(count, generator=draw)).round()


@settings(max_examples=150, deadline=None)
@given(cases())
def test_equals_the_definition(case: Case) -> None:
    boxes, scores, groups, threshold = case
    want = slow_nms(boxes.numpy(), scores.numpy(), groups.numpy(), threshold)
    assert batched_nms(boxes, scores, groups, threshold).tolist() == want
    assert batched_nms_torch(boxes, scores, groups, threshold, block=5).tolist() == want
    alone = slow_nms(boxes.numpy(), scores.numpy(), np.zeros(len(boxes)), threshold)
    assert nms(boxes, scores, threshold).tolist() == alone
    assert nms_torch(boxes, scores, threshold).tolist() == alone


@settings(max_examples=75, deadline=None)
@given(cases(finite=False))
def test_numbers_beyond_reason_give_the_definition_too(case: Case) -> None:
    boxes, scores, groups, threshold = case
    with np.errstate(all="ignore"):
        want = slow_nms(boxes.numpy(), scores.numpy(), groups.numpy(), threshold)
    assert batched_nms(boxes, scores, groups, threshold).tolist() == want


@settings(max_examples=75, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_what_is_kept_and_why(case: Case, shuffler: object) -> None:
    boxes, _, _, threshold = case
    count = len(boxes)
    order = list(range(count))
    shuffler.shuffle(order)  # type: ignore[attr-defined]
    scores = torch.tensor(order, dtype=torch.float32)  # all different
    kept = nms(boxes, scores, threshold)
    assert scores[kept].tolist() == sorted(scores[kept].tolist(), reverse=True)
    rows = boxes.numpy()
    among = [(i, j) for i in kept.tolist() for j in kept.tolist() if i != j]
    assert all(overlap(rows[i], rows[j]) <= threshold for i, j in among)
    for i in set(range(count)) - set(kept.tolist()):
        assert any(overlap(rows[i], rows[k]) > threshold and scores[k] > scores[i] for k in kept.tolist())
    assert nms(boxes[kept], scores[kept], threshold).tolist() == list(range(len(kept)))
    mixed = torch.randperm(count, generator=torch.Generator().manual_seed(count))
    assert torch.equal(mixed[nms(boxes[mixed], scores[mixed], threshold)], kept)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 0.95])
def test_a_crowd_gives_the_same_on_both_ways(threshold: float) -> None:
    boxes, scores = crowd(1500)
    groups = torch.randint(0, 3, (1500,), generator=torch.Generator().manual_seed(1))
    assert torch.equal(nms(boxes, scores, threshold), nms_torch(boxes, scores, threshold))
    wide = batched_nms(boxes, scores, groups * 10**12, threshold)
    assert torch.equal(wide, batched_nms_torch(boxes, scores, groups, threshold))
    assert torch.equal(wide, batched_nms(boxes, scores, groups, threshold))
    doubled = boxes.double()
    assert torch.equal(nms(doubled, scores.double(), threshold), nms_torch(doubled, scores, threshold))


def test_far_boxes_do_not_blur_the_grid() -> None:
    boxes, scores = crowd(500)
    away = torch.tensor([[1e9, 1e9, 2e9, 2e9], [-1e30, -1e30, -1e29, -1e29], [0.0, 0.0, 1e30, 1e30]])
    boxes, scores = torch.cat([boxes, away]), torch.cat([scores, torch.tensor([200.0, 201, 202])])
    assert torch.equal(nms(boxes, scores, 0.5), nms_torch(boxes, scores, 0.5))


def test_a_box_is_dropped_only_above_the_threshold() -> None:
    boxes = torch.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1], [0, 0, 2, 1]])  # IoU with the first: 1/2, 1
    scores = torch.tensor([0.9, 0.8, 0.7])
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.4999999).tolist() == [0]
    assert nms(boxes, scores, 1.0).tolist() == [0, 1, 2]


def test_a_threshold_between_two_float32_is_not_rounded() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 1], [0, 0, 7, 1]])
    iou = float(torch.tensor(7.0) / 10)  # 0.7 in float32 is below 0.7
    assert iou < 0.7
    scores = torch.tensor([1.0, 0.5])
    assert nms(boxes, scores, 0.7).tolist() == nms_torch(boxes, scores, 0.7).tolist() == [0, 1]
    assert nms(boxes, scores, iou - 1e-12).tolist() == nms_torch(boxes, scores, iou - 1e-12).tolist() == [0]


def test_scores_are_ordered_as_torch_orders_them() -> None:
    nan, inf = float("nan"), float("inf")
    minus_nan = torch.tensor([0xFFC00000 - 2**32], dtype=torch.int32).view(torch.float32)
    scores = torch.cat([torch.tensor([0.5, -0.0, 0.0, nan, -inf, inf, 1e-45, -1e-45, 0.5, nan]), minus_nan])
    boxes = torch.arange(11.0)[:, None] * 10 + torch.tensor([0.0, 0, 1, 1])
    assert torch.equal(nms(boxes, scores, 0.5), scores.argsort(descending=True, stable=True))


def test_many_threads_at_once_agree() -> None:
    jobs = [(*crowd(2000, seed), 0.5) for seed in range(4)] * 4
    alone = [nms(*job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: nms(*job), jobs))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_inputs_are_left_alone_and_need_not_be_contiguous() -> None:
    boxes, scores = crowd(300)
    boxes.requires_grad_()
    strided = torch.cat([boxes, boxes], 1)[:, 2:6]  # x1 y1 x0 y0: turn back
    strided = strided[:, [2, 3, 0, 1]].t().contiguous().t()
    before = boxes.detach().clone(), scores.clone()
    assert torch.equal(nms(strided, scores, 0.5), nms(boxes, scores, 0.5))
    assert torch.equal(before[0], boxes.detach()) and torch.equal(before[1], scores)


def test_half_precision_counts_as_float32() -> None:
    boxes, scores = crowd(300)
    low = boxes.bfloat16()
    assert torch.equal(nms(low, scores.bfloat16(), 0.5), nms(low.float(), scores.bfloat16().float(), 0.5))


def test_wrong_shapes_are_refused() -> None:
    boxes, scores = crowd(4)
    with pytest.raises(ValueError, match="boxes"):
        nms(boxes[:, :3], scores, 0.5)
    with pytest.raises(ValueError, match="scores"):
        nms(boxes, scores[:2], 0.5)
    with pytest.raises(ValueError, match="group"):
        batched_nms(boxes, scores, torch.zeros(3, dtype=torch.int64), 0.5)
    with pytest.raises(ValueError, match="threshold"):
        nms(boxes, scores, 1.5)


def test_importing_the_operators_does_not_import_numba() -> None:
    code = "import sys, neocog.ops.nms, neocog.ops.roi; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
