"""Several transforms, of which each ten steps get one: drawn from the seed and the step alone."""

from __future__ import annotations

import pytest
import torch

from neocog.data.loader import CHANGE, Drawn, Loader
from neocog.data.scenes import Scenes
from neocog.transforms.recipes import evaluation_recipe

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

SIZES = (32, 64, 96)
DRAWN = Drawn(tuple(evaluation_recipe((side, side)) for side in SIZES), seed=5)
STEPS = 12 * CHANGE


def sides(start: int = 0, workers: int = 0, share: tuple[int, int] = (0, 1)) -> list[tuple[int, int]]:
    """(step, side of its pictures) of two pictures a step."""
    data = Scenes("std", "train", count=4)
    batches = Loader(data, DRAWN, batch_size=2, start_step=start, steps=STEPS, workers=workers, share=share)
    return [(batch.step, batch.images.shape[-1]) for batch in batches]


def test_ten_steps_share_a_size_and_every_size_comes() -> None:
    found = [side for _, side in sides()]
    tens = [set(found[step : step + CHANGE]) for step in range(0, STEPS, CHANGE)]
    assert all(len(ten) == 1 for ten in tens)
    assert set(found) == set(SIZES)


def test_whoever_reads_from_wherever_gets_the_same() -> None:
    whole = sides()
    assert sides(start=37, workers=1) == whole[37:]
    assert sides(share=(1, 2)) == whole


def test_another_seed_draws_others() -> None:
    other = Drawn(DRAWN.transforms, seed=6)
    steps = range(0, 40 * CHANGE, CHANGE)
    assert [other.at(step) for step in steps] != [DRAWN.at(step) for step in steps]


def test_a_single_transform_is_that_one() -> None:
    only = evaluation_recipe((32, 32))
    assert Drawn((only,), seed=0).at(99) is only
    data = Scenes("std", "train", count=2)
    alone, drawn = (
        next(iter(Loader(data, transform, batch_size=2))) for transform in (only, Drawn((only,), seed=0))
    )
    assert torch.equal(alone.images, drawn.images)
