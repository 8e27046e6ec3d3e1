"""SSD's table of boxes, its matching and its hard negatives: against the authors' numbers and plain loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.ops.test_assign import box, objects_of
from tests.references import matching

from neocog.ops.assign import NEGATIVE, UNUSED, match
from neocog.ops.default_boxes import box_shapes, grid_boxes
from neocog.ops.losses import hard_negatives
from neocog.ops.nms import best_of_each


def test_shapes_are_the_authors() -> None:
    """The second map of SSD300: sides 60 and 111, ratios 2 and 3 (`prior_box_layer.cpp`)."""
    wanted = [(60, 60), (81.61, 81.61), (84.85, 42.43), (42.43, 84.85), (103.92, 34.64), (34.64, 103.92)]
    assert box_shapes(60, 111, (2, 3)).tolist() == [pytest.approx(shape, abs=5e-3) for shape in wanted]


def test_order_is_row_column_shape() -> None:
    boxes = grid_boxes(torch.tensor([[4.0, 2.0], [2.0, 6.0]]), (2, 3), 8)
    assert boxes.shape == (12, 4)
    assert boxes[0].tolist() == [2, 3, 6, 5]
    assert boxes[1].tolist() == [3, 1, 5, 7]
    assert boxes[2].tolist() == [10, 3, 14, 5]
    assert boxes[6].tolist() == [2, 11, 6, 13]


@given(
    st.lists(box, min_size=1, max_size=14),
    st.lists(box, max_size=6),
    st.integers(0, 2**14 - 1),
    st.sampled_from([0.3, 0.5, 0.7]),
)
def test_matching_equals_the_plain_rules(
    boxes: list[tuple[float, ...]], truth: list[tuple[float, ...]], bits: int, positive: float
) -> None:
    usable = [bool(bits >> place & 1) for place in range(len(boxes))]
    tensor = torch.tensor(boxes, dtype=torch.float32)
    got = match(tensor, objects_of(truth), positive=positive, usable=torch.tensor(usable))
    assert got.tolist() == matching.match(boxes, truth, usable, positive)


def test_two_objects_do_not_share_their_best_box() -> None:
    """The box is best for both; the nearer object takes it, the other the next best, below the threshold."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 6, 10, 16]])
    truth = objects_of([(0, 2, 10, 12), (0, 1, 10, 11)])
    assert match(boxes, truth, positive=0.9).tolist() == [1, 0]


def test_ignored_objects_are_neither() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60], [20, 20, 30, 30]])
    truth = objects_of([(0, 0, 10, 10), (20, 20, 29, 29)], [True, False])
    assert match(boxes, truth, positive=0.5).tolist() == [UNUSED, NEGATIVE, 1]
    nobody = objects_of([(0, 0, 10, 10)], [True])
    assert match(boxes, nobody, positive=0.5).tolist() == [UNUSED, NEGATIVE, NEGATIVE]


@given(
    st.lists(st.lists(st.tuples(st.integers(-1000, 1000), st.sampled_from("pnu")), min_size=9, max_size=9)),
    st.integers(1, 4),
)
def test_hard_negatives_equal_the_plain_rule(rows: list[list[tuple[int, str]]], ratio: int) -> None:
    """Losses differ, as real ones do: ties are anyone's."""
    loss = torch.tensor([[value + place / 100 for place, (value, _) in enumerate(row)] for row in rows])
    kinds = [[kind for _, kind in row] for row in rows]
    positive = torch.tensor([[kind == "p" for kind in row] for row in kinds], dtype=torch.bool)
    negative = torch.tensor([[kind == "n" for kind in row] for row in kinds], dtype=torch.bool)
    chosen = hard_negatives(loss.reshape(-1, 9), positive.reshape(-1, 9), negative.reshape(-1, 9), ratio)
    for row, one in enumerate(chosen):
        wanted = matching.hard_negatives(
            loss[row].tolist(), positive[row].tolist(), negative[row].tolist(), ratio
        )
        assert set(torch.nonzero(one).flatten().tolist()) == wanted


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30), st.integers(1, 5))
def test_best_of_each_group(pairs: list[tuple[int, int]], most: int) -> None:
    scores = torch.tensor([float(score) for score, _ in pairs])
    groups = torch.tensor([group for _, group in pairs], dtype=torch.int64)
    wanted = set()
    for group in range(4):
        members = [n for n, (_, own) in enumerate(pairs) if own == group]
        wanted |= set(sorted(members, key=lambda n: -pairs[n][0])[:most])
    assert best_of_each(scores, groups, most).tolist() == sorted(wanted)
