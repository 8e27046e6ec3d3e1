"""Assignment and sampling: against the authors' rules as plain loops, on both paths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.references import assignment
from torch import Tensor

from neocog.ops import assign as module
from neocog.ops.assign import NEGATIVE, UNUSED, assign, sample
from neocog.types import Objects

coordinates = st.integers(0, 30).map(float)
box = st.tuples(coordinates, coordinates, st.integers(1, 20), st.integers(1, 20)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def objects_of(boxes: list[tuple[float, ...]], ignore: list[bool] | None = None) -> Objects:
    count = len(boxes)
    flags = torch.tensor(ignore, dtype=torch.bool) if ignore else torch.zeros(count, dtype=torch.bool)
    return Objects(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4), torch.arange(count), flags)


@given(
    st.lists(box, min_size=1, max_size=12),
    st.lists(box, max_size=5),
    st.integers(0, 2**12 - 1),
    st.booleans(),
)
def test_equals_the_plain_rules(
    boxes: list[tuple[float, ...]], truth: list[tuple[float, ...]], bits: int, force: bool
) -> None:
    usable = [bool(bits >> place & 1) for place in range(len(boxes))]
    expected = assignment.assign(boxes, truth, usable, 0.7, 0.3, force)
    tensor = torch.tensor(boxes, dtype=torch.float32)
    mask = torch.tensor(usable)
    got = assign(tensor, objects_of(truth), positive=0.7, negative=0.3, force_best=force, usable=mask)
    assert got.tolist() == expected
    if truth:
        plain = module._assign_torch(tensor, objects_of(truth).boxes, 0.7, 0.3, force, mask)
        assert torch.where(mask, plain, UNUSED).tolist() == expected


def test_nobody_answers_for_an_ignored_object() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 60.0, 60.0]])
    got = assign(boxes, objects_of([(0.0, 0.0, 10.0, 10.0)], [True]), positive=0.5, negative=0.5)
    assert got.tolist() == [UNUSED, NEGATIVE]


def test_labels_index_the_objects_with_ignored_ones_between() -> None:
    truth = objects_of([(0.0, 0.0, 9.0, 9.0), (20.0, 20.0, 30.0, 30.0)], [True, False])
    got = assign(torch.tensor([[20.0, 20.0, 30.0, 30.0]]), truth, positive=0.5, negative=0.5)
    assert got.tolist() == [1]


def test_empty_inputs() -> None:
    assert assign(torch.zeros(0, 4), Objects.empty(), positive=0.5, negative=0.5).shape == (0,)
    assert assign(torch.ones(3, 4), Objects.empty(), positive=0.5, negative=0.5).tolist() == [NEGATIVE] * 3


def draws(assigned: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    return sample(assigned, 16, 0.5, np.random.default_rng(seed))


def test_sample_is_bounded_and_filled_with_negatives() -> None:
    assigned = torch.cat([torch.zeros(30), torch.full((100,), NEGATIVE), torch.full((9,), UNUSED)]).long()
    positives, negatives = draws(assigned, 0)
    assert (len(positives), len(negatives)) == (8, 8)
    assert (assigned[positives] >= 0).all()
    assert (assigned[negatives] == NEGATIVE).all()
    few = torch.cat([torch.zeros(3), torch.full((100,), NEGATIVE)]).long()
    assert [len(part) for part in draws(few, 0)] == [3, 13]


def test_sample_is_uniform() -> None:
    """Each of 20 positives is drawn 8 of 20 times: over 2,000 draws within five standard deviations."""
    assigned = torch.cat([torch.zeros(20), torch.full((20,), NEGATIVE)]).long()
    counts = torch.zeros(20)
    for seed in range(2000):
        counts[draws(assigned, seed)[0]] += 1
    assert ((counts - 800).abs() < 5 * (2000 * 0.4 * 0.6) ** 0.5).all()


@pytest.mark.parametrize("path", [module._assign_numba, module._assign_torch])
def test_first_of_equals_wins(path: Callable[..., Tensor]) -> None:
    twice = torch.tensor([[0.0, 0.0, 8.0, 8.0]] * 2)
    assert path(twice[:1], twice, 0.5, 0.5, False, None).tolist() == [0]
