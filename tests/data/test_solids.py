"""Solids are drawn as a slow renderer does; in each sequence one thing changes; splits share no solid."""

from __future__ import annotations

import hashlib
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from tests.references.solids import walked

from neocog.data.loader import Loader
from neocog.data.open import open_data
from neocog.data.scenes import open_scenes
from neocog.data.solids import COUNTS, GROUP, KINDS, PAPER_RATIO, SOLIDS, Solids, shapes
from neocog.data.solids_render import (
    AMBIENT,
    BACKGROUND,
    HEIGHT,
    RANGES,
    REACH,
    TRAITS,
    parts,
    render_solid,
)
from neocog.errors import DataError
from neocog.types import Task


def digest(index: int) -> str:
    return hashlib.sha256(Solids("test")[index].image.tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("azimuth", "elevation", "light"), [(0, 0, 0), (-70, 25, 60), (48, -30, -75), (20, 11, 30)]
)
def test_pictures_are_those_of_a_slow_renderer(azimuth: float, elevation: float, light: float) -> None:
    shape = np.random.default_rng(int(azimuth) + 90).random(len(TRAITS))
    up, across = np.radians(HEIGHT), np.radians(light)
    direction = np.array([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)])
    want = walked(parts(shape), azimuth, elevation, direction, AMBIENT, BACKGROUND, 16, REACH)
    have = render_solid(shape, azimuth, elevation, light, 16)
    assert (want > 60).mean() > 0.1  # the solid is there
    apart = np.abs(have - want)
    assert np.quantile(apart, 0.98) <= 0.51 and apart.max() < 24  # a ray may graze an edge


def test_angles_turn_the_way_they_are_said_to() -> None:
    """In profile the tip of the nose is what reaches farthest: to the right where the azimuth is positive,
    and higher where the elevation is. Light from the right makes the right half bright."""
    shape = np.full(len(TRAITS), 0.5)

    def outline(azimuth: float, elevation: float) -> tuple[int, int, float]:
        """First and last column of the solid, and the row of what lies in the last."""
        picture = render_solid(shape, azimuth, elevation, 0)
        rows, columns = np.nonzero(picture != picture[0, 0])
        return int(columns.min()), int(columns.max()), float(rows[columns == columns.max()].mean())

    left, right, row = outline(75, 0)
    assert right - 31.5 > 31.5 - left + 4
    assert outline(-75, 0)[:2] == (63 - right, 63 - left)
    assert outline(75, 20)[2] < row - 1.5 and outline(75, -20)[2] > row + 1.5
    lit = render_solid(shape, 0, 0, 60).astype(float)
    assert lit[:, 32:].sum() > 1.5 * lit[:, :32].sum()


@pytest.mark.parametrize("split", COUNTS)
def test_one_thing_changes_in_each_sequence(split: str) -> None:
    data = Solids(split)
    for first in range(0, 20 * GROUP, GROUP):
        kind = data.kind(first)
        factors = [data.factors(index) for index in range(first, first + GROUP)]
        angles = np.array([[one.azimuth, one.elevation, one.light] for one in factors])
        solids = {one.solid for one in factors}
        changing = [name for name, column in zip(RANGES, angles.T, strict=True) if np.ptp(column) > 0]
        assert changing == ([KINDS[kind]] if kind < 3 else [])
        assert len(solids) == (GROUP if KINDS[kind] == "shape" else 1)
        for one in factors:
            assert (one.shape == shapes(split)[one.solid]).all()
        if kind < 3:
            low, high = RANGES[KINDS[kind]]
            places = (angles[:, kind] - low) / (high - low) * GROUP
            assert (np.floor(places) == np.arange(GROUP)).all()


def test_kinds_come_in_the_paper_s_ratio_or_its_code_s() -> None:
    paper = [Solids("train", ratio=PAPER_RATIO).kind(index) for index in range(0, 26 * GROUP, GROUP)]
    assert np.bincount(paper).tolist() == [2, 2, 2, 20]
    code = [Solids("train").kind(index) for index in range(0, 26 * GROUP, GROUP)]
    assert code[:5] == [0, 1, 2, 3, 0]


def test_samples_bring_their_kind_and_nothing_else() -> None:
    data = Solids("val")
    assert (len(data), data.task, data.classes) == (480, Task.RECONSTRUCT, KINDS)
    sample = data[3 * GROUP + 4]
    assert sample.label == 3 and sample.target is None and sample.mask is None
    assert sample.image.shape == (64, 64, 3) and (sample.image == sample.image[:, :, :1]).all()
    assert (sample.image[:, :, 0] == data.factors(3 * GROUP + 4).render()).all()
    assert (sample.image[[0, -1]] == sample.image[0, 0]).all()
    assert len(data.objects(0)) == 0 and data.identity(-1) == "solids/val/479"
    with pytest.raises(IndexError):
        data[480]


def test_no_two_splits_share_a_solid() -> None:
    every = np.concatenate([shapes(split) for split in SOLIDS])
    assert len(every) == sum(SOLIDS.values()) == 1200
    apart = torch.cdist(torch.from_numpy(every.copy()), torch.from_numpy(every.copy()))
    apart.fill_diagonal_(1)
    assert apart.min() > 0.02
    assert (shapes("train", 1) != shapes("train", 0)).any()


def test_no_picture_leaves_the_frame_and_all_differ() -> None:
    data = Solids("train")
    for index in range(0, 400, 7):
        image = data[index].image[:, :, 0]
        rim = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (rim == rim[0]).all()
    pictures = {data[index].image.tobytes() for index in range(80)}
    assert len(pictures) == 80


def test_pictures_are_the_same_bits_in_any_process_and_order() -> None:
    here = [digest(index) for index in (5, 300, 959)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(digest, (959, 300, 5)) == here[::-1]
    assert (pickle.loads(pickle.dumps(Solids("test")))[5].image == Solids("test")[5].image).all()  # noqa: S301


def test_fewer_pictures_are_the_first_of_more() -> None:
    few, many = Solids("train", count=40), Solids("train")
    assert all((few[index].image == many[index].image).all() for index in (0, 39))
    prints = [
        Solids("train", count=40),
        Solids("val", count=40),
        Solids("train", count=60),
        Solids("train", count=40, seed=1),
        Solids("train", count=40, size=32),
        Solids("train", count=40, ratio=PAPER_RATIO),
    ]
    assert len({one.fingerprint for one in prints}) == len(prints)


def test_it_opens_by_its_name_whether_a_task_is_named_or_not() -> None:
    assert open_data("scenes:solids", "validation").task is Task.RECONSTRUCT
    data = open_scenes("scenes:solids", "test", count=20, size=32, task=Task.RECONSTRUCT)
    assert data[0].image.shape == (32, 32, 3)
    with pytest.raises(DataError, match="no truth for the task 'segment'"):
        open_scenes("scenes:solids", task=Task.SEGMENT)
    with pytest.raises(DataError, match="did you mean 'scenes:solids'"):
        open_scenes("scenes:solid")
    with pytest.raises(DataError, match="multiple of 20"):
        Solids("train", count=30)
    with pytest.raises(DataError, match="no split 'trian'"):
        Solids("trian")
    with pytest.raises(DataError, match="ratio"):
        Solids("train", ratio=(0, 0, 0, 0))


def test_batches_hold_whole_sequences() -> None:
    batch = next(iter(Loader(Solids("train", count=200), lambda sample: sample, batch_size=40)))
    assert batch.labels is not None and batch.images.shape == (40, 3, 64, 64)
    indices = np.array([key.index for key in batch.keys]).reshape(2, GROUP)
    assert (indices == indices[:, :1] + np.arange(GROUP)).all()
    assert [len(set(half.tolist())) for half in batch.labels.reshape(2, GROUP)] == [1, 1]
