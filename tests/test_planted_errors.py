"""Label errors planted at known places are all reported, clean data are silent; no label changes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.badinputs import drive, tree_hash
from tests.fuzz_annotations import MOST_GROWTH, MOST_SECONDS, Books, case, run, write_targets
from tests.planted import Error, World
from tests.planted_kinds import KINDS, plant

from neocog.data.open import open_data, read_split, splits_of
from neocog.data.records import ImageDataset

FORMATS = ("voc", "coco", "yolo")
COUNT, EACH = 2000, 100
"""Pictures of a data set, with five boxes each; errors of a kind."""


def check(root: Path, tmp_path: Path) -> dict[str, Any]:
    """What `neocog data check` says, once it is certain that it left the data set alone."""
    before = tree_hash(root)
    answer = drive(["data", "check", str(root), "--json", str(tmp_path / "check.json")])
    assert answer.code == 0 and tree_hash(root) == before
    result: dict[str, Any] = json.loads((tmp_path / "check.json").read_text())
    return result


def test_there_are_25_kinds_of_a_hundred_each(tmp_path: Path) -> None:
    planted: Counter[str] = Counter()
    for format in FORMATS:
        world = World(format, COUNT, seed=2)
        plant(world, EACH)
        planted.update(error.kind for error in world.write(tmp_path / format))
    assert planted == dict.fromkeys(KINDS, EACH) and len(KINDS) == 25


@pytest.mark.parametrize("format", FORMATS)
def test_clean_annotations_are_silent(format: str, tmp_path: Path) -> None:
    world = World(format, COUNT, seed=1)
    assert world.write(tmp_path / "data") == []
    result = check(tmp_path / "data", tmp_path)
    assert result["strict_stop"] is None and result["identical"] == result["leaks"] == []
    assert [split["lines"] for split in result["splits"].values()] == [[], []]
    assert sum(split["boxes"] for split in result["splits"].values()) == 5 * COUNT == 10_000


@pytest.mark.parametrize("format", FORMATS)
def test_every_planted_error_is_reported_and_nothing_else(format: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    world = World(format, COUNT, seed=2)
    plant(world, EACH)
    errors = world.write(root)
    result = check(root, tmp_path)
    lines = {split: list(found["lines"]) for split, found in result["splits"].items()}
    everywhere = {line for line in lines["train"] if "no split" in line and format == "voc"}
    lines["val"] = [line for line in lines["val"] if line not in everywhere]  # told once is enough
    for error in errors:
        assert _take(lines, error), (error, [line for found in lines.values() for line in found][:5])
    assert lines == {"train": [], "val": []}
    assert set(Counter(error.kind for error in errors).values()) <= {33, 34, 50, 100}
    _labels_are_unchanged(root, world)


def _take(lines: dict[str, list[str]], error: Error) -> bool:
    """Take the line of an error out; False if there is none. Both splits of VOC tell of unlisted files."""
    start = f"{error.place}: {error.reason}"
    for split in (error.split, "train"):
        found = [line for line in lines[split] if line.startswith(start)]
        if found:
            lines[split].remove(found[0])
            return True
    return False


def _labels_are_unchanged(root: Path, world: World) -> None:
    """Every annotation that was not planted is there as it was written."""
    shots = {shot.stem: shot for shot in world.shots}
    seen = 0
    for split in splits_of(root):
        data = open_data(root, split)
        assert isinstance(data, ImageDataset) and data.report.balanced
        for index in range(len(data)):
            shot, objects = shots[Path(data.identity(index)).stem], data.objects(index)
            seen += 1
            found = {
                (label, *box)
                for label, box in zip(objects.labels.tolist(), objects.boxes.round().tolist(), strict=True)
            }
            assert {(label, *box) for label, box in shot.truth} <= found
            assert np.isfinite(data.areas(index)).all()
    lost = sum(not shot.picture or not shot.listed or shot.damage for shot in world.shots)
    assert seen == COUNT - lost and lost <= COUNT / 10


def test_the_books_name_every_loss(tmp_path: Path) -> None:
    """A smaller world: the counts by reason are those of what was planted."""
    world = World("yolo", 400, seed=3)
    plant(world, 20)
    errors = world.write(tmp_path / "data")
    lost: Counter[str] = Counter()
    for split in ("train", "val"):
        report = read_split(tmp_path / "data", "yolo", split).report
        assert report.balanced
        lost += report.lost_annotations
    planted = Counter(error.reason for error in errors)
    assert lost and all(planted[reason] == count for reason, count in lost.items())


def test_three_thousand_mutated_files_are_read_or_refused() -> None:
    """The suite's share of `python -m tests.fuzz_annotations`."""
    books = Books(seed=0)
    run(books, stop=3000)
    assert books.failures == []
    assert books.done == 3000 == books.used + books.refused.total()
    assert books.used > 300 and len(books.refused) > 30  # damage that is worth something
    assert books.slowest[0] < MOST_SECONDS and books.growth < MOST_GROWTH


def test_a_case_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    first, second = write_targets(tmp_path / "a"), write_targets(tmp_path / "b")
    found = [[case(targets, 5, number)[1] for number in range(40)] for targets in (first, second)]
    assert found[0] == found[1] and len(set(found[0])) > 30


def test_the_judge_of_mutated_files_sees_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the fuzzer looks for, made to happen: another exception, books that are off, a box outside."""
    from neocog.data import builder, report, voc_xml

    def broken(name: str, target: object, value: object) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(target, name, value)
            books = Books(seed=0)
            run(books, stop=60)
        return " ".join(failure["failure"] for failure in books.failures)

    def crash(data: bytes) -> object:
        raise IndexError("as nobody expected")

    assert "IndexError: as nobody expected" in broken("_parse", voc_xml, crash)
    assert "AssertionError" in broken("drop", report.Report, lambda *_: None)
    judge_boxes = builder.judge_boxes
    assert "AssertionError" in broken(
        "judge_boxes",
        builder,
        lambda boxes, sizes: (judge_boxes(boxes, sizes)[0] + 30, judge_boxes(boxes, sizes)[1]),
    )
