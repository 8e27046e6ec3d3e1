"""Selective search as a whole: what must hold of its boxes, and its order."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from neocog.data.scenes import Scenes
from neocog.metrics.proposals import proposal_recall
from neocog.ops.boxes import iou
from neocog.proposals.ranking import APART, in_order, near_copies_behind, uniform
from neocog.proposals.search import STRATEGIES, SearchOptions, hierarchies, selective_search, shrunk
from neocog.types import Proposals

Pixels = NDArray[np.uint8]
EVERY = SearchOptions(shortest=0)


def scenes(count: int, size: int = 96) -> Scenes:
    return Scenes("std", "val", count, 0, size)


def check(found: Proposals, image: Pixels, most: int = 2000) -> None:
    """What holds of the proposals of any picture."""
    height, width = image.shape[:2]
    boxes = found.boxes
    assert 0 < len(boxes) <= most
    assert boxes.min() >= 0 and (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()
    assert (boxes[:, 2] > boxes[:, 0]).all() and (boxes[:, 3] > boxes[:, 1]).all()
    assert len(boxes.unique(dim=0)) == len(boxes)
    assert (found.scores.diff() < 0).all() and found.scores[0] == 1 and found.scores[-1] > 0


@settings(max_examples=40)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))))
def test_boxes_lie_inside_and_none_is_given_twice(image: Pixels) -> None:
    check(selective_search(image, EVERY), image)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (700, 1), (3, 900), (64, 64)])
@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_pictures_of_odd_shapes_and_one_colour(shape: tuple[int, int], mode: str) -> None:
    flat = np.full((*shape, 3), 90, np.uint8)
    found = selective_search(flat, SearchOptions(mode=mode, shortest=0))
    assert found.boxes.tolist() == [[0, 0, shape[1], shape[0]]]
    striped = flat.copy()
    striped[:, : shape[1] // 2] = 200
    check(selective_search(striped, SearchOptions(mode=mode, shortest=0)), striped)


def test_a_long_thin_picture_may_have_no_box_that_is_wide_enough() -> None:
    found = selective_search(np.zeros((2, 300, 3), np.uint8))
    assert found.boxes.shape == (0, 4) and found.scores.shape == (0,)


def test_larger_pictures_are_shrunk_and_their_boxes_are_not() -> None:
    small = scenes(1, 128)[0].image
    large = small.repeat(5, 0).repeat(5, 1)
    assert shrunk(small, 128) is small and shrunk(large, 128).shape == (128, 128, 3)
    assert shrunk(large[:9], 100).shape == (1, 100, 3)
    found = selective_search(large, SearchOptions(longest=128))
    check(found, large)
    known = selective_search(shrunk(large, 128))
    assert torch.allclose(found.boxes, known.boxes * 5)


def test_the_options_bound_the_boxes() -> None:
    image = scenes(2)[1].image
    every = selective_search(image, EVERY)
    assert torch.equal(selective_search(image, SearchOptions(shortest=0, most=7)).boxes, every.boxes[:7])
    wide = selective_search(image, SearchOptions(shortest=0.25)).boxes
    sides = every.boxes[:, 2:] - every.boxes[:, :2]
    assert len(wide) == (sides.amin(1) >= 24).sum() and (wide[:, 2:] - wide[:, :2]).min() >= 24


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_modes_have_the_authors_hierarchies(mode: str) -> None:
    image = scenes(1, 48)[0].image
    trees = list(hierarchies(image, STRATEGIES[mode]))
    assert len(trees) == {"fast": 8, "quality": 80}[mode]
    boxes = {tuple(box) for tree in trees for box in tree.boxes.tolist()}
    found = selective_search(image, SearchOptions(mode=mode, shortest=0, most=10**6))
    assert {tuple(box) for box in found.boxes.tolist()} == boxes


def test_the_papers_order_is_position_times_a_fixed_draw() -> None:
    image = scenes(3)[2].image
    best: dict[tuple[int, ...], float] = {}
    for number, tree in enumerate(hierarchies(image)):
        draws = uniform(number, len(tree))
        for place, box in enumerate(tree.boxes.tolist()):
            rank = (len(tree) - place) * draws[place]
            best[tuple(box)] = min(best.get(tuple(box), np.inf), rank)
    plain = selective_search(image, SearchOptions(shortest=0, spread=False, most=10**6))
    assert [tuple(box) for box in plain.boxes.tolist()] == sorted(best, key=lambda box: best[box])
    spread = selective_search(image, SearchOptions(shortest=0, most=10**6))
    assert Counter(map(tuple, plain.boxes.tolist())) == Counter(map(tuple, spread.boxes.tolist()))


def test_near_copies_go_behind_and_keep_their_order() -> None:
    image = scenes(4)[3].image
    boxes = selective_search(image, SearchOptions(spread=False)).boxes
    order = near_copies_behind(boxes)
    assert sorted(order.tolist()) == list(range(len(boxes)))
    want: list[int] = []
    for overlap in (*APART, 1.0):
        for index in range(len(boxes)):
            others = iou(boxes[index : index + 1], boxes[want]).double()
            if index not in want and not (others > overlap).any():
                want.append(index)
    assert order.tolist() == want


def test_in_order_takes_the_lowest_rank_of_equal_boxes() -> None:
    boxes = np.array([[0, 0, 5, 5], [1, 0, 5, 5], [0, 0, 5, 5], [8191, 0, 8192, 8192]], np.int32)
    assert in_order(boxes, np.array([3.0, 2.0, 1.0, 0.5])).tolist() == boxes[[3, 2, 1]].tolist()


def test_the_draws_are_even_and_never_change() -> None:
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # SplitMix64 from 0
    assert np.allclose(uniform(0, 3), [value / 2**64 for value in published], rtol=0, atol=2**-52)
    draws = np.concatenate([uniform(stream, 5000) for stream in range(4)])
    assert len(np.unique(draws)) == len(draws) and draws.min() > 0 and draws.max() < 1
    assert abs(np.histogram(draws, 20, (0, 1))[0] - 1000).max() < 150


def test_the_same_bits_in_every_thread_and_process() -> None:
    images = [scenes(4, 64)[index].image for index in range(4)]
    alone = [selective_search(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(selective_search, images))
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(alone, together, strict=True))
    code = (
        "from neocog.data.scenes import Scenes; from neocog.proposals.search import selective_search;"
        "print(selective_search(Scenes('std', 'val', 4, 0, 64)[0].image).boxes.double().sum().item())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == alone[0].boxes.double().sum().item()


def test_most_objects_of_generated_scenes_are_found() -> None:
    data = scenes(20, 128)
    truths = [data[index].target for index in range(20)]
    found = [selective_search(data[index].image) for index in range(20)]
    result = proposal_recall(truths, found, data.classes, counts=(100, 2000))
    assert result.recall[0, 0] > 0.8 and result.recall[0, 1] > 0.93 and result.mabo[1] > 0.8


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(image: Pixels) -> None:
    with pytest.raises(ValueError, match="expected uint8 of shape"):
        selective_search(image)


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "slow"}, {"longest": 5}, {"longest": 9000}, {"shortest": -0.1}, {"shortest": 1.5}, {"most": 0}],
)
def test_options_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        SearchOptions(**wrong)  # type: ignore[arg-type]
