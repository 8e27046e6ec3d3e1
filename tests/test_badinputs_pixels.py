"""Bad masks and class folders, from the catalogue: each has its one line, and the rest is used."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.badinputs import BadInput, base, drive, ground, judge, plant, tree_hash
from tests.badinputs.pixels import FOLDERS, FOLDERS_ALONE, MASK_STOPS, MASKS

from neocog.data.open import open_data
from neocog.data.records import Recorded
from neocog.data.write import FORMATS

TOGETHER = {"masks": MASKS, "folders": FOLDERS}


def test_every_item_has_a_name_of_its_own() -> None:
    names = [(item.format, item.id) for item in (*MASKS, *MASK_STOPS, *FOLDERS, *FOLDERS_ALONE)]
    assert len(set(names)) == len(names) > 20


@pytest.mark.parametrize("format", TOGETHER)
def test_the_rest_is_used(format: str, tmp_path: Path) -> None:
    spot = ground(tmp_path / "data", format, train=160)
    planted = plant(spot, TOGETHER[format])
    for command in ("load", "check"):
        judge(planted, command, spot, tmp_path / command)  # type: ignore[arg-type]


@pytest.mark.parametrize("item", [*MASK_STOPS, *FOLDERS_ALONE], ids=lambda item: f"{item.format}-{item.id}")
def test_what_concerns_the_whole(item: BadInput, tmp_path: Path) -> None:
    spot = ground(tmp_path / "data", item.format)
    planted = plant(spot, [item])
    for command in item.commands:
        judge(planted, command, spot, tmp_path / command)


@pytest.mark.parametrize("format", TOGETHER)
def test_the_good_data_are_silent_and_stay_as_they_are(format: str, tmp_path: Path) -> None:
    before = tree_hash(base(format))
    for split in ("train", "val", "test"):
        data = open_data(base(format), split, strict=True, task=FORMATS[format])
        assert isinstance(data, Recorded)
        empty = [line for line in data.report.lines() if "class folder without pictures" in line]
        assert data.report.lines() == empty
    answer = drive(["data", "convert", str(base(format)), str(tmp_path / "to"), "--format", format])
    assert answer.code == 0 and tree_hash(base(format)) == before
