"""Hierarchical grouping against its definition, and the bins it compares."""

from __future__ import annotations

from dataclasses import fields
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from tests.references.selective_search import in_reading_order, slow_group, slow_orientation, tree_of

from neocog.data.scenes import Scenes
from neocog.proposals import _kernels_pixels as kernels
from neocog.proposals.colour import convert
from neocog.proposals.grouping import PixelBins, Terms, describe, group, pixel_bins
from neocog.proposals.segmentation import segment

Labels = NDArray[np.int32]
SOME = [Terms(*flags) for flags in product([True, False], repeat=4) if any(flags)]


def bins_of(seed: int, size: int, channels: int, few: bool) -> PixelBins:
    """Bins drawn at random; few of them give many equal similarities."""
    draw = np.random.default_rng(seed)
    colour = draw.integers(0, 2 if few else 25, (size, channels)) + 25 * np.arange(channels)
    texture = draw.integers(0, 2 if few else 10, (size, 8 * channels)) + 10 * np.arange(8 * channels)
    return PixelBins(colour.astype(np.uint8), texture.astype(np.uint8))


@st.composite
def labellings(draw: st.DrawFn) -> Labels:
    """Connected regions of all shapes: those of a segmented picture of few colours."""
    shape = (draw(st.integers(1, 8)), draw(st.integers(1, 8)), 1)
    picture = draw(hnp.arrays(np.float32, shape, elements=st.integers(0, 2).map(float)))
    return segment(picture, 0.5, draw(st.integers(0, 3)), sigma=0)


@settings(max_examples=60)
@given(labellings(), st.integers(0, 99), st.sampled_from([1, 3]), st.booleans(), st.sampled_from(SOME))
def test_equals_the_definition(labels: Labels, seed: int, channels: int, few: bool, terms: Terms) -> None:
    bins = bins_of(seed, labels.size, channels, few)
    want = slow_group(labels, bins, terms)
    tree = group(describe(labels, bins), terms)
    count = int(labels.max()) + 1
    children = [np.flatnonzero(tree.parents == parent).tolist() for parent in range(count, len(tree))]
    assert children == [[low, high] for low, high, _ in want]
    assert tree.similarities.tolist() == [0.0] * count + [alike for _, _, alike in want]
    assert np.array_equal(tree.boxes, tree_of(want, labels))


def test_equals_the_definition_on_a_picture() -> None:
    picture = convert(Scenes("std", "val", 4, 0, 40)[2].image, "hsv")
    labels, bins = segment(picture, 30, 12), pixel_bins(picture)
    assert labels.max() > 15
    for terms in (Terms(), Terms(colour=False), Terms(False, False, True, False)):
        want = slow_group(labels, bins, terms)
        tree = group(describe(labels, bins), terms)
        assert tree.similarities[labels.max() + 1 :].tolist() == [alike for _, _, alike in want]
        assert np.array_equal(tree.boxes, tree_of(want, labels))


def test_regions_are_counted_from_the_pixels() -> None:
    labels = in_reading_order(np.random.default_rng(3).integers(0, 6, (11, 14)))
    bins = bins_of(5, labels.size, 3, few=False)
    regions = describe(labels, bins)
    flat = labels.ravel()
    for region in range(6):
        mine = flat == region
        assert regions.sizes[region] == mine.sum()
        colour = np.bincount(bins.colour[mine].ravel(), minlength=75)
        texture = np.bincount(bins.texture[mine].ravel(), minlength=240)
        assert regions.counts[region].tolist() == [*colour, *texture]
    assert regions.pairs.tolist() == sorted(regions.pairs.tolist())
    assert (regions.pairs[:, 0] > regions.pairs[:, 1]).all()


def test_a_hierarchy_is_a_tree_of_the_whole_picture() -> None:
    picture = convert(Scenes("std", "val", 4, 0, 64)[0].image, "lab")
    labels = segment(picture, 50, 20)
    tree = group(describe(labels, pixel_bins(picture)))
    assert tree.parents[-1] == -1 and tree.sizes[-1] == 64 * 64
    assert tree.boxes[-1].tolist() == [0, 0, 64, 64]
    assert tree.levels.tolist() == list(range(len(tree), 0, -1))
    for child, parent in enumerate(tree.parents[:-1]):
        assert parent > child and tree.sizes[parent] > tree.sizes[child]
        assert (tree.boxes[parent][:2] <= tree.boxes[child][:2]).all()
        assert (tree.boxes[parent][2:] >= tree.boxes[child][2:]).all()
    assert 0 < tree.similarities[labels.max() + 1 :].min() <= tree.similarities.max() <= 4


def test_one_region_is_its_own_hierarchy() -> None:
    tree = group(describe(np.zeros((3, 5), np.int32), bins_of(0, 15, 1, few=False)))
    assert tree.boxes.tolist() == [[0, 0, 5, 3]] and tree.parents.tolist() == [-1]


def test_many_neighbours_of_one_region() -> None:
    """A background with hundreds of spots: lists and heap grow beyond what they start with."""
    labels = np.zeros((64, 64), np.int32)
    labels[1::3, 1::3] = np.arange(1, 1 + 21 * 21).reshape(21, 21)
    labels = in_reading_order(labels)
    bins = bins_of(1, labels.size, 3, few=False)
    for terms in (Terms(), Terms(False, False, False, True)):
        tree = group(describe(labels, bins), terms)
        assert len(tree) == 2 * 442 - 1 and tree.sizes[-1] == 64 * 64


@pytest.mark.parametrize("turn", range(8))
def test_orientation_bins_are_those_of_the_slope(turn: int) -> None:
    draw = np.random.default_rng(turn)
    across, down = (draw.normal(0, 30, (200, 2)).astype(np.float32) for _ in range(2))
    out = np.empty((200, 16), np.uint8)
    kernels.orientation_bins(across, down, 40.0, out)
    for p, c in product(range(200), range(2)):
        want = slow_orientation(float(across[p, c]), float(down[p, c]), turn, 40.0)
        assert out[p, 8 * c + turn] == 10 * (8 * c + turn) + want


def test_colour_bins_cut_the_range_evenly() -> None:
    ramp = np.arange(256, dtype=np.float32).reshape(16, 16, 1)
    bins = pixel_bins(np.concatenate([ramp, ramp], 2))
    want = np.arange(256) * 25 // 256
    assert bins.colour[:, 0].tolist() == want.tolist()
    assert bins.colour[:, 1].tolist() == (want + 25).tolist()


def test_a_flat_picture_has_no_slope() -> None:
    bins = pixel_bins(np.full((6, 7, 3), 100, np.float32))
    assert np.isin(bins.texture % 10, [4, 5]).all()
    assert [f.name for f in fields(bins)] == ["colour", "texture"]
