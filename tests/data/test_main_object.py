"""Boxes as one main object a picture."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from tests.references.datasets import Picture, Thing, many, write_coco, write_voc

from neocog.data.main_object import MainObject
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.errors import DataError, UsageError
from neocog.types import Task

CAT, DOG = Thing("cat", (0, 0, 4, 4)), Thing("dog", (2, 1, 12, 9))
CROWD = Thing("cat", (0, 0, 20, 10), ignore=True)
WORLD = {
    "train": [
        Picture("a", 20, 10, (CAT, DOG, CROWD)),
        Picture("b", 20, 10),
        Picture("c", 20, 10, (CROWD,)),
        Picture("d", 20, 10, (DOG,)),
        Picture("e", 20, 10, (CAT, Thing("cat", (8, 2, 12, 6)))),
    ]
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "pets", WORLD)


def opened(root: Path, task: Task, main: str = "largest") -> MainObject:
    data = open_data(root, task=task, main=main)
    assert isinstance(data, MainObject)
    return data


def test_the_largest_that_counts(root: Path) -> None:
    data = opened(root, Task.LOCALIZE)
    names = [data.identity(index) for index in range(len(data))]
    assert names == [f"JPEGImages/{stem}.png" for stem in "ade"] and data.classes == ("cat", "dog")
    assert [data.objects(index).labels.tolist() for index in range(3)] == [[1], [1], [0]]
    assert data.objects(0).boxes.tolist() == [[2, 1, 12, 9]]
    assert data.objects(2).boxes.tolist() == [[0, 0, 4, 4]]  # of two equally large the first
    sample = data[-1]
    assert sample.target is not None and sample.label is None
    assert torch.equal(sample.target.boxes, data.objects(2).boxes)
    assert data.line() == "2 of 5 images of split train are left out: not an object that counts"
    assert data.path(1) == root / "JPEGImages/d.png" and data.areas(0).tolist() == [80.0]
    assert data.size(2) == (10, 20) and data.report.files_used == 5
    with pytest.raises(IndexError):
        data.identity(3)


def test_the_label_alone(root: Path) -> None:
    data = opened(root, Task.CLASSIFY)
    assert data.task is Task.CLASSIFY
    assert [data[index].label for index in range(3)] == [1, 1, 0] and data[0].target is None
    assert data.objects(0).boxes.tolist() == [[0, 0, 20, 10]] and data.objects(0).labels.tolist() == [1]


def test_exactly_one_of_a_class(root: Path) -> None:
    data = opened(root, Task.LOCALIZE, "cat")
    assert [data.identity(index) for index in range(len(data))] == ["JPEGImages/a.png"]
    assert data.classes == ("cat",) and data[0].target is not None
    assert data.objects(0).labels.tolist() == [0] and data.objects(0).boxes.tolist() == [[0, 0, 4, 4]]
    assert data.line() == "4 of 5 images of split train are left out: not exactly one 'cat'"
    assert opened(root, Task.LOCALIZE, "dog").objects(0).labels.tolist() == [0]


def test_truths_that_differ_have_other_fingerprints(root: Path) -> None:
    views = [
        opened(root, task, main) for task in (Task.LOCALIZE, Task.CLASSIFY) for main in ("largest", "dog")
    ]
    assert len({open_data(root).fingerprint, *(view.fingerprint for view in views)}) == 5
    again = pickle.loads(pickle.dumps(views[0]))  # noqa: S301
    assert len(again) == 3 and torch.equal(again.objects(1).boxes, views[0].objects(1).boxes)


def test_what_cannot_be_asked_for(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^pets: no class 'cow' \(there are: largest, cat, dog\)$"):
        open_data(root, task=Task.LOCALIZE, main="cow")
    empty = write_coco(tmp_path / "empty", {"train": [Picture("a", 20, 10, (CROWD,))]}, ["cat"])
    with pytest.raises(DataError, match=r"^empty, split 'train': no image has an object that counts$"):
        open_data(empty, task=Task.LOCALIZE)
    with pytest.raises(UsageError, match="main 'cat' chooses among boxes, and none are read"):
        open_data(root, main="cat")
    with pytest.raises(UsageError, match="main 'disc'"):
        open_data("scenes", task=Task.LOCALIZE, main="disc")
    with pytest.raises(ValueError, match="no truth for detect"):
        MainObject(open_data(root), Task.DETECT)


def test_losses_are_judged_before(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "pets", {"train": many(20)})
    (root / "JPEGImages/p0.png").write_bytes(b"")
    assert len(opened(root, Task.CLASSIFY)) == 19
    with pytest.raises(DataError, match="strict reading allows none"):
        open_data(root, task=Task.CLASSIFY, strict=True)


def test_scenes_have_their_own_main_object() -> None:
    data = open_data("scenes:single", task=Task.LOCALIZE)
    assert isinstance(data, Scenes) and len(data.objects(3)) == 1
