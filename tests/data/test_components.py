"""Objects out of a mask, against a flood fill."""

from __future__ import annotations

import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from neocog.data.components import LEAST_SIDE, MOST_PARTS, components


def flood(mask: np.ndarray, background: int | None) -> set[tuple[int, ...]]:
    """(label, x0, y0, x1, y1) of every part that is large enough, pixel by pixel."""
    left = {(int(y), int(x)) for y, x in np.argwhere((mask != 255) & (mask != background))}
    found = set()
    while left:
        start = left.pop()
        part, front = {start}, [start]
        while front:
            y, x = front.pop()
            for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if near in left and mask[near] == mask[start]:
                    left.remove(near)
                    part.add(near)
                    front.append(near)
        ys, xs = zip(*part, strict=True)
        box = (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        if min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE:
            found.add((int(mask[start]), *box))
    return found


@settings(max_examples=60)
@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.sampled_from([0, 1, 2, 255])
    ),
    st.sampled_from([None, 0, 2]),
    st.integers(3, 5),
)
def test_parts_are_those_of_a_flood_fill(coarse: np.ndarray, background: int | None, scale: int) -> None:
    mask = coarse.repeat(scale, 0).repeat(scale, 1)
    found = components(mask, background)
    rows = {
        (label, *map(int, box))
        for label, box in zip(found.labels.tolist(), found.boxes.tolist(), strict=True)
    }
    assert rows == flood(mask, background) and not found.ignore.any()


def test_parts_of_one_class_that_touch_at_a_corner_are_two() -> None:
    mask = np.zeros((16, 16), np.uint8)
    mask[:8, :8] = mask[8:, 8:] = 3
    assert components(mask, 0).boxes.tolist() == [[0, 0, 8, 8], [8, 8, 16, 16]]


def test_a_chequered_mask_takes_no_time() -> None:
    mask = (np.indices((1000, 1000)).sum(axis=0) % 2).astype(np.uint8)
    began = time.perf_counter()
    assert len(components(mask, 0)) == 0 and MOST_PARTS >= 20_000
    assert time.perf_counter() - began < 2
