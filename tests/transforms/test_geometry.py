"""Boxes, masks and frames follow the pixels; draws follow the key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neocog.errors import UsageError
from neocog.transforms.geometry import (
    Affine,
    Crop,
    Fit,
    Flip,
    Geometry,
    Letterbox,
    Resize,
    ShorterSide,
    Zoom,
    compose,
)
from neocog.types import Frame, Matrix, Objects, Sample, SampleKey

ALONG_AXES: tuple[Geometry, ...] = (Fit((90, 120)), Flip(0.5, 0.5), Zoom(0.5, 2.0))
MENUS = st.sampled_from(
    [
        ALONG_AXES,
        (Resize((64, 97)), Flip()),
        (ShorterSide(70, 110), Zoom()),
        (Letterbox((100, 100)), Flip(1.0, 1.0)),
        (Crop((70, 90)),),
        (Crop((200, 220)), Fit((80, 80))),
    ]
)
SIZES = st.tuples(st.integers(60, 150), st.integers(60, 150))


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A black picture with one white rectangle, its box, and its mask."""
    height, width = draw(SIZES)
    x0, y0 = draw(st.integers(0, width - 20)), draw(st.integers(0, height - 20))
    x1, y1 = draw(st.integers(x0 + 12, width)), draw(st.integers(y0 + 12, height))
    return rectangle((height, width), (x0, y0, x1, y1), draw(st.integers(0, 10_000)))


def rectangle(size: tuple[int, int], box: tuple[int, int, int, int], index: int = 0) -> Sample:
    x0, y0, x1, y1 = box
    mask = np.zeros(size, np.uint8)
    mask[y0:y1, x0:x1] = 1
    target = Objects(torch.tensor([box], dtype=torch.float32), torch.tensor([3]), torch.tensor([False]))
    picture = np.repeat(mask[..., None] * 255, 3, axis=-1)
    return Sample(picture, target, Frame(size, size, source="r"), mask, SampleKey(7, 2, index))


def bounds(filled: np.ndarray) -> list[float]:
    rows, columns = np.flatnonzero(filled.any(1)), np.flatnonzero(filled.any(0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@settings(max_examples=150, deadline=None)
@given(samples(), MENUS)
def test_boxes_follow_pixels(sample: Sample, operations: tuple[Geometry, ...]) -> None:
    moved = compose(operations, sample, fill=(0, 0, 0), min_visible=0.0)
    assert moved.target is not None and moved.mask is not None
    assert moved.image.shape[:2] == moved.mask.shape == moved.frame.size
    if len(moved.target) == 0:
        assert (moved.mask == 1).sum() <= 2 * max(moved.mask.shape)
        return
    box = moved.target.boxes[0].tolist()
    assert bounds(moved.mask == 1) == pytest.approx(box, abs=1)
    assert bounds(moved.image[..., 0] > 127) == pytest.approx(box, abs=1)


@settings(max_examples=60, deadline=None)
@given(samples())
def test_boxes_hold_the_object_under_rotation(sample: Sample) -> None:
    moved = compose((Affine(40, 15, 0.2),), sample, min_visible=0.0)
    assert moved.target is not None and moved.mask is not None
    if (moved.mask == 1).any() and len(moved.target):
        seen, box = bounds(moved.mask == 1), moved.target.boxes[0].tolist()
        assert all(a <= b + 1 for a, b in zip(box[:2], seen[:2], strict=True))
        assert all(a >= b - 1 for a, b in zip(box[2:], seen[2:], strict=True))


@settings(max_examples=100, deadline=None)
@given(samples(), MENUS)
def test_frame_leads_back(sample: Sample, operations: tuple[Geometry, ...]) -> None:
    frame = compose(operations, sample).frame
    assert sample.target is not None
    there = frame.to_input(sample.target.boxes)
    torch.testing.assert_close(frame.to_original(there), sample.target.boxes, atol=1e-3, rtol=0)
    assert frame.original == sample.image.shape[:2] and frame.source == "r"


def test_frame_composes_in_order_and_associates() -> None:
    maps: list[tuple[Matrix, tuple[int, int]]] = [
        ((0.5, 0.1, 3.0, -0.2, 0.7, 1.0), (50, 60)),
        ((-1.0, 0.0, 60.0, 0.0, 1.0, 0.0), (50, 60)),
        ((1.2, 0.3, -4.0, 0.0, 0.9, 2.0), (40, 70)),
    ]
    start = Frame((80, 90), (80, 90))
    one_by_one = start.then(*maps[0]).then(*maps[1]).then(*maps[2])
    tail = Frame((50, 60), (50, 60)).then(*maps[1]).then(*maps[2])
    grouped = start.then(*maps[0]).then(tail.matrix, tail.size)
    assert grouped.matrix == pytest.approx(one_by_one.matrix) and grouped.size == (40, 70)
    stacked = np.eye(3)
    for matrix, _ in maps:
        stacked = np.vstack([np.reshape(matrix, (2, 3)), [0, 0, 1]]) @ stacked
    assert np.reshape(one_by_one.matrix, (2, 3)) == pytest.approx(stacked[:2])


@settings(max_examples=40, deadline=None)
@given(samples(), st.sampled_from([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]))
def test_flips_are_involutions(sample: Sample, chances: tuple[float, float]) -> None:
    once = compose((Flip(*chances),), sample)
    assert not np.array_equal(once.frame.matrix, sample.frame.matrix)
    for twice in (compose((Flip(*chances),), once), compose((Flip(*chances), Flip(*chances)), sample)):
        np.testing.assert_array_equal(twice.image, sample.image)
        np.testing.assert_array_equal(twice.mask, sample.mask)
        assert twice.target is not None and sample.target is not None
        torch.testing.assert_close(twice.target.boxes, sample.target.boxes)


def test_draws_follow_the_key_alone() -> None:
    sample = rectangle((90, 120), (30, 30, 60, 70))
    menu = (Flip(), Affine(20), Zoom())
    first, again = compose(menu, sample), compose(menu, sample)
    assert first.frame == again.frame
    np.testing.assert_array_equal(first.image, again.image)
    frames = {compose(menu, replace(sample, key=SampleKey(*key))).frame.matrix for key in np.ndindex(3, 3, 3)}
    assert len(frames) == 27


def test_same_operation_twice_draws_twice() -> None:
    size = (90, 120)
    twice = compose((Zoom(), Zoom()), rectangle(size, (30, 30, 60, 70))).frame.matrix
    once = compose((Zoom(),), rectangle(size, (30, 30, 60, 70))).frame.matrix
    assert twice[0] != pytest.approx(once[0] ** 2, abs=1e-3)


def test_objects_at_the_edge() -> None:
    boxes = torch.tensor([[0, 0, 50, 50], [40, 0, 90, 50], [60, 0, 100, 50], [49.5, 0, 99, 50]])
    target = Objects(boxes.float(), torch.arange(4), torch.tensor([True, False, False, False]))
    sample = replace(rectangle((50, 100), (0, 0, 50, 50)), target=target)
    left_half = compose((Shift((1, 0, 0, 0, 1, 0), (50, 50)),), sample).target
    assert left_half is not None
    # The first stays ignored; a fifth of the second is left: ignored; the third is out; the fourth too thin.
    assert left_half.labels.tolist() == [0, 1]
    assert left_half.ignore.tolist() == [True, True]
    assert left_half.boxes.tolist() == [[0, 0, 50, 50], [40, 0, 50, 50]]
    all_kept = compose((Shift((1, 0, 0, 0, 1, 0), (50, 50)),), sample, min_visible=0.1).target
    assert all_kept is not None and all_kept.ignore.tolist() == [True, False]


class Shift:
    """A fixed map, for tests."""

    def __init__(self, matrix: Matrix, size: tuple[int, int]) -> None:
        self.fixed = matrix, size

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> tuple[Matrix, tuple[int, int]]:
        return self.fixed


def test_pictures_brought_back_are_not_fill() -> None:
    """Out of the canvas and back again within one composition loses nothing."""
    sample = rectangle((40, 60), (0, 0, 60, 40))
    there, back = Shift((1, 0, 500, 0, 1, 0), (40, 60)), Shift((1, 0, -500, 0, 1, 0), (40, 60))
    np.testing.assert_array_equal(compose((there, back), sample).image, sample.image)


@pytest.mark.parametrize(
    ("operation", "size", "want"),
    [
        (Fit((240, 320)), (480, 640), (240, 320)),
        (Fit((240, 320)), (1000, 640), (240, 154)),
        (Fit((300, 300)), (10, 20), (150, 300)),
        (Fit((8, 8)), (1, 1000), (1, 8)),
        (ShorterSide(600, 1000), (375, 500), (600, 800)),
        (ShorterSide(600, 1000), (200, 800), (250, 1000)),
        (Resize((7, 9)), (100, 100), (7, 9)),
        (Letterbox((64, 64)), (100, 50), (64, 64)),
        (Crop((30, 200)), (100, 100), (30, 200)),
        (Zoom(), (33, 77), (33, 77)),
    ],
)
def test_sizes(operation: Geometry, size: tuple[int, int], want: tuple[int, int]) -> None:
    """ShorterSide's cases are those of the Faster R-CNN paper's VOC pictures."""
    matrix, new = operation.draw(np.random.default_rng(0), size)
    assert new == want and all(isinstance(side, int) for side in new)


def test_zoom_covers_its_range_evenly_in_logarithm() -> None:
    rng = np.random.default_rng(0)
    scales = np.array([Zoom(0.5, 2.0).draw(rng, (1000, 1000))[0][0] for _ in range(4000)])
    assert scales.min() == pytest.approx(0.5, abs=0.01) and scales.max() == pytest.approx(2.0, abs=0.01)
    assert (scales < 1).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    "bad",
    [
        lambda: Fit((0, 5)),
        lambda: Zoom(1.2, 0.8),
        lambda: Zoom(0, 1),
        lambda: ShorterSide(10, 5),
        lambda: Flip(1.5),
        lambda: Affine(rotation=-1),
        lambda: Affine(shear=90),
    ],
)
def test_impossible_options_are_refused_in_one_line(bad: object) -> None:
    with pytest.raises(UsageError, match=r"^[^\n]+$"):
        bad()  # type: ignore[operator]
