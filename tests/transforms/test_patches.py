"""SSD's patches and zoom-out: what a draw may be, and what becomes of objects, pixels and masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.references.assignment import overlap
from tests.transforms.test_geometry import SIZES, Shift, bounds, rectangle, samples

from neocog.errors import UsageError
from neocog.transforms.geometry import Fit, compose
from neocog.transforms.patches import MEAN, Patch, ZoomOut
from neocog.transforms.recipes import training_recipe
from neocog.transforms.warp import GREY
from neocog.types import IDENTITY, Objects, Sample, SampleKey

SEEDS = st.integers(0, 2**32 - 1)
boxes_in = st.lists(
    st.tuples(*[st.floats(0, 1)] * 4).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    ),
    max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(SEEDS, SIZES, boxes_in, st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9]))
def test_a_patch_is_whole_or_covered_by_some_object(
    seed: int, size: tuple[int, int], shares: list[tuple[float, ...]], threshold: float
) -> None:
    height, width = size
    boxes = np.array(shares, np.float32).reshape(-1, 4) * np.array([width, height] * 2, np.float32)
    matrix, (h, w) = Patch((threshold,)).look(np.random.default_rng(seed), size, boxes)
    patch = (-matrix[2], -matrix[5], w - matrix[2], h - matrix[5])
    assert patch[0] >= 0 and patch[1] >= 0 and patch[2] <= width and patch[3] <= height
    assert (matrix[0], matrix[1], matrix[3], matrix[4]) == (1, 0, 0, 1)
    whole = (h, w) == size
    assert whole or max((overlap(patch, box) for box in boxes.tolist()), default=0) >= threshold - 1e-9


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.tuples(st.integers(200, 400), st.integers(200, 400)))
def test_sides_of_a_patch_keep_to_their_limits(seed: int, size: tuple[int, int]) -> None:
    """Scale 0.3 to 1 and ratio 1/2 to 2 of the picture's, give or take the rounding to pixels."""
    nothing = np.zeros((0, 4), np.float32)
    _, (h, w) = Patch((0.0,)).look(np.random.default_rng(seed), size, nothing)
    high, wide = h / size[0], w / size[1]
    assert 0.29 <= (high * wide) ** 0.5 <= 1
    assert 0.48 <= wide / high <= 2.1


def test_every_threshold_is_drawn() -> None:
    """One object as large as half the picture: patches of all six kinds and the whole are found."""
    boxes = np.array([[50, 50, 250, 250]], np.float32)
    best = []
    for seed in range(300):
        matrix, (h, w) = Patch().look(np.random.default_rng(seed), (300, 300), boxes)
        patch = (-matrix[2], -matrix[5], w - matrix[2], h - matrix[5])
        best.append(1.0 if (h, w) == (300, 300) else overlap(patch, boxes[0].tolist()))
    shares = np.histogram(best, bins=[0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.1])[0] / 300
    assert (shares[1:] > 0.02).all() and shares[0] < 0.1


def test_without_objects_a_patch_is_free_or_whole() -> None:
    nothing = np.zeros((0, 4), np.float32)
    sizes = {Patch().look(np.random.default_rng(seed), (90, 120), nothing)[1] for seed in range(50)}
    assert (90, 120) in sizes and len(sizes) > 10


@settings(max_examples=200, deadline=None)
@given(SEEDS, SIZES, st.floats(1, 4))
def test_zoom_out_holds_the_whole_picture(seed: int, size: tuple[int, int], most: float) -> None:
    matrix, (h, w) = ZoomOut(most, 1.0).draw(np.random.default_rng(seed), size)
    x, y = matrix[2], matrix[5]
    assert 0 <= x <= w - size[1] and 0 <= y <= h - size[0]
    assert size[0] <= h <= size[0] * most + 1 and size[1] <= w <= size[1] * most + 1
    assert abs(h / size[0] - w / size[1]) < 0.02


def test_zoom_out_leaves_half_of_the_pictures() -> None:
    draws = [ZoomOut(4.0).draw(np.random.default_rng(seed), (90, 120)) for seed in range(400)]
    still = sum(matrix == IDENTITY and size == (90, 120) for matrix, size in draws)
    assert 150 < still < 250
    assert max(size[0] for _, size in draws) > 300


@settings(max_examples=150, deadline=None)
@given(samples(), st.sampled_from([1.0, 4.0]))
def test_boxes_follow_pixels(sample: Sample, most: float) -> None:
    operations = (ZoomOut(most, 1.0), Patch(), Fit((160, 160)))
    moved = compose(operations, sample, fill=(0, 0, 0), min_visible=0.0, centred=True)
    assert moved.target is not None and moved.mask is not None and sample.target is not None
    assert max(moved.image.shape[:2]) == 160
    for box, ignored in zip(moved.target.boxes.tolist(), moved.target.ignore.tolist(), strict=True):
        assert (torch.tensor(box[2:]) > torch.tensor(box[:2])).all()
        height, width = moved.frame.size
        whole = moved.frame.to_input(sample.target.boxes)[0]
        x, y = ((whole[:2] + whole[2:]) / 2).tolist()
        assert ignored == (not (0 <= x <= width and 0 <= y <= height))
        if (moved.mask == 1).sum() > 20 and min(box[2] - box[0], box[3] - box[1]) > 4:
            assert bounds(moved.mask == 1) == pytest.approx(box, abs=1)


def test_an_object_without_its_centre_is_neither() -> None:
    """Cut at x = 50: the first keeps its centre, though a fifth of it is cut; the second does not."""
    boxes = torch.tensor([[0.0, 0, 60, 50], [30, 0, 80, 50], [60, 0, 100, 50]])
    target = Objects(boxes, torch.arange(3), torch.zeros(3, dtype=torch.bool))
    sample = replace(rectangle((50, 100), (0, 0, 50, 50)), target=target)
    cut = (Shift((1, 0, 0, 0, 1, 0), (50, 50)),)
    kept = compose(cut, sample, min_visible=0.0, centred=True).target
    assert kept is not None and kept.labels.tolist() == [0, 1] and kept.ignore.tolist() == [False, True]
    by_share = compose(cut, sample, min_visible=0.0).target
    assert by_share is not None and by_share.ignore.tolist() == [False, False]


def test_ignored_objects_draw_no_patch() -> None:
    """A difficult object counts as little for the patches as for the loss."""
    sample = rectangle((90, 120), (30, 30, 60, 70))
    assert sample.target is not None
    hidden = replace(sample, target=replace(sample.target, ignore=torch.tensor([True])))
    for index in range(20):
        one = replace(hidden, key=SampleKey(0, 0, index))
        moved = compose((Patch((0.1, 0.9)),), one)
        assert moved.image.shape == (90, 120, 3)
        assert compose((Patch((0.1,)),), replace(one, target=None)).target is None


def test_draws_follow_the_key_alone() -> None:
    sample = rectangle((90, 120), (30, 30, 60, 70))
    recipe = training_recipe((64, 64), patches=True, zoom_out=4.0, scale=None)
    first, again = recipe(sample), recipe(sample)
    assert first.frame == again.frame
    np.testing.assert_array_equal(first.image, again.image)
    frames = {recipe(replace(sample, key=SampleKey(0, 0, n))).frame.matrix for n in range(20)}
    assert len(frames) >= 18


def test_recipes_differ_by_name() -> None:
    plain, patches = training_recipe((64, 64)), training_recipe((64, 64), patches=True)
    out = training_recipe((64, 64), patches=True, zoom_out=4.0, fill=MEAN)
    kinds = [[type(step).__name__ for step in recipe.geometry] for recipe in (plain, patches, out)]
    assert kinds[0] == ["Fit", "Flip", "Zoom"]
    assert kinds[1][:2] == ["Patch", "Fit"] and kinds[2][:3] == ["ZoomOut", "Patch", "Fit"]
    assert (plain.centred, patches.centred) == (False, True)
    assert (plain.fill, out.fill) == (GREY, MEAN)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ZoomOut(0.5),
        lambda: ZoomOut(2.0, 1.5),
        lambda: Patch(low=0.0),
        lambda: Patch(low=0.9, high=0.5),
        lambda: Patch(ratio=0.5),
        lambda: Patch(trials=0),
        lambda: Patch((1.5,)),
    ],
)
def test_limits_that_cannot_be(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]
