"""Small files that would take long or fill the memory: refused, or counted instead of kept."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.references.datasets import many, write_coco, write_voc, write_yolo

from neocog.data.open import find_format, read_split
from neocog.data.report import MANY, MOST_KEPT, MOST_REASONS, Report
from neocog.errors import DataError

WORLD = {"train": many(20), "val": many(2, split="v")}


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < 5


def report(root: Path, split: str = "train") -> Report:
    found = read_split(root, find_format(root), split).report
    assert found.balanced
    return found


def test_faults_are_kept_up_to_a_number_and_counted_beyond() -> None:
    one = Report()
    for number in range(MOST_KEPT + 5):
        one.drop("a.txt", f"line {number}", "not a number")
    assert len(one.faults) == MOST_KEPT and one.counts() == [("annotation left out", "not a number", 10_005)]
    assert one.lost_annotations == {"not a number": 10_005}
    assert one.lines(10**9)[-1] == "... 10005 in all: not a number (annotation left out)"
    for number in range(MOST_REASONS + 5):
        one.drop("a.txt", "", f"unknown class '{number}'")
    assert len(one.lost_annotations) == MOST_REASONS + 1 and one.lost_annotations[MANY] == 6


def test_many_unknown_names(tmp_path: Path) -> None:
    dice = random.Random(0)
    root = write_voc(tmp_path / "pets", WORLD)
    names = ["".join(dice.choices("abcdefgh", k=60)) for _ in range(1000)]
    for stem, some in (("p0", names[:500]), ("v0", names[500:])):
        path = root / f"Annotations/{stem}.xml"
        text = path.read_text()
        thing = text[text.index("<object>") : text.index("</annotation>")]
        things = "".join(thing.replace("<name>cat", f"<name>{name}") for name in some)
        path.write_text(text.replace(thing, things))
    assert len(report(root, "val").faults) == 500


def test_endless_lines(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "pets", WORLD, ["cat"])
    (root / "labels/train/p0.txt").write_text("x\n" * (4 << 20))
    assert report(root).lines() == [
        "labels/train/p0.txt: more than 20000 lines for one image (file left out)"
    ]
    (root / "data.yaml").unlink()  # the classes are then looked for in the labels
    assert report(root).files_used == 19


@pytest.mark.parametrize("tag", ["<object/>", "<a/>", "<object><name>cat</name></object>"])
def test_endless_objects(tag: str, tmp_path: Path) -> None:
    root = write_voc(tmp_path / "pets", WORLD)
    (root / "Annotations/p0.xml").write_text(f"<annotation>{tag * ((12 << 20) // len(tag))}</annotation>")
    told = report(root).lines()
    assert told == ["Annotations/p0.xml: more than 20000 objects in one image (file left out)"]


def test_endless_annotations_of_no_image(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", WORLD, ["cat"])
    path = root / "annotations/instances_train.json"
    path.write_text(path.read_text().replace('"annotations": [', '"annotations": [' + "{}, " * 900_000))
    with pytest.raises(DataError, match="900000 of 900020 annotations name no image in it"):
        report(root)


def test_endless_annotations_of_one_image(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", WORLD, ["cat"])
    path = root / "annotations/instances_train.json"
    document = json.loads(path.read_text())
    document["annotations"] += [{**document["annotations"][0], "id": 99 + n} for n in range(100_000)]
    path.write_text(json.dumps(document))
    found = report(root)
    assert found.lines()[0].endswith("more than 20000 annotations of one image (file left out; 100001)")
    assert (found.files_used, found.annotations_used) == (19, 19)
