"""Same seed, same result: fresh processes in surroundings that have nothing to do with the result."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.determinism_pairs import FORMATS, draw, run_in, shuffle_listings, write_data

PAIRS = 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "sets"
    write_data(folder)
    return folder


@pytest.fixture(scope="module")
def reference(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return run_in(draw(0, workers=0), data, tmp_path_factory.mktemp("reference"), FORMATS[:2])


@pytest.mark.parametrize("pair", range(1, PAIRS + 1))
def test_a_pair_of_processes_gives_the_same_bits(
    data: Path, reference: dict[str, str], tmp_path: Path, pair: int
) -> None:
    assert len(reference) == 10  # weights, average, optimizer, model, metrics; of two formats
    assert run_in(draw(pair, workers=pair), data, tmp_path, FORMATS[:2]) == reference


def test_the_surroundings_do_differ() -> None:
    both = [draw(0, workers=0), *(draw(pair, workers=pair) for pair in range(1, PAIRS + 1))]
    for name in ("hash_seed", "locale", "zone", "listing", "workers", "folder", "relative"):
        assert len({getattr(one, name) for one in both}) > 1, name
    assert {count for one in both for count in one.workers} == {0, 1, 4}


def test_listings_are_shuffled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else the pairs would show nothing of what depends on them."""
    for number in range(20):
        (tmp_path / f"{number:02}").touch()
    monkeypatch.setattr(os, "listdir", os.listdir)  # both are put back afterwards
    monkeypatch.setattr(os, "scandir", os.scandir)
    shuffle_listings(3)
    orders = [
        [path.name for path in tmp_path.iterdir()],
        [path.name for path in tmp_path.glob("*")],
        next(iter(os.walk(tmp_path)))[2],
    ]
    assert all(sorted(order) != order and len(order) == 20 for order in orders)
