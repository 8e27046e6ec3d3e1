"""Class folders: labels by folder, splits by name or by content, and what is passed over said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.references.datasets import save_picture
from tests.references.pixels import write_folders

from neocog.data import folders
from neocog.data.check import check
from neocog.data.open import find_format, open_data, read_split, splits_of
from neocog.data.records import Recorded
from neocog.errors import DataError
from neocog.types import Task

WORLD = {"train": {"cat": 3, "ant": 2}, "validation": {"ant": 1, "cat": 1}}


def read(root: Path, split: str = "train") -> Recorded:
    data = read_split(root, "folders", split)
    assert data.report.balanced
    return data


def test_the_folder_is_the_label(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", WORLD)
    assert find_format(root) == "folders" and splits_of(root) == ("train", "val")
    data = open_data(root, "train", strict=True, task=Task.CLASSIFY)
    assert (data.task, data.classes, len(data)) == (Task.CLASSIFY, ("ant", "cat"), 5)
    named = {data.identity(index): data[index].label for index in range(5)}
    assert named == {f"train/ant/{n}.png": 0 for n in range(2)} | {f"train/cat/{n}.png": 1 for n in range(3)}
    sample, objects = data[4], data.objects(4)
    assert sample.target is None and sample.mask is None and sample.image.shape == (10, 20, 3)
    assert objects.boxes.tolist() == [[0, 0, 20, 10]] and objects.labels.tolist() == [1]
    assert len(open_data(root, "valid", task=Task.CLASSIFY)) == 2
    both = open_data(root, "trainval", task=Task.CLASSIFY)
    assert len(both) == 7 and both.fingerprint != data.fingerprint


def test_without_splits_it_is_divided_by_content(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", {"": {"ant": 60, "cat": 60}})
    assert splits_of(root) == ("train", "val", "test")
    parts = {split: read(root, split) for split in splits_of(root)}
    names = [data.identity(index) for data in parts.values() for index in range(len(data))]
    assert len(set(names)) == len(names) == 120 and 80 < len(parts["train"]) < 110
    assert {data.classes for data in parts.values()} == {("ant", "cat")}
    note = ".: no splits given (noted; divided 80/10/10 by the content of the images)"
    assert parts["val"].report.lines() == [note]


def test_what_is_passed_over_is_said(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", WORLD | {"train": {"cat": 3, "ant": 2, "empty": 0}})
    (root / "validation/empty").mkdir()
    save_picture(root / "stray.png")
    save_picture(root / "train/loose.png")
    save_picture(root / "other/a.png")
    for place in ("Thumbs.db", "train/cat/Thumbs.db", "train/cat/.hidden.png", "train/ant/notes.txt"):
        (root / place).write_bytes(b"x")
    save_picture(root / "train/cat/__MACOSX/._a.png")
    save_picture(root / "train/cat/sub/deep.png", seed=99)
    data = read(root)
    assert len(data) == 6 and data.classes == ("ant", "cat", "empty")
    hidden = "hidden, or not a picture (noted; not used)"
    assert sorted(data.report.lines()) == sorted(
        [
            f"Thumbs.db: {hidden}",
            f"train/cat/Thumbs.db: {hidden}",
            f"train/cat/.hidden.png: {hidden}",
            f"train/cat/__MACOSX: {hidden}",
            f"train/ant/notes.txt: {hidden}",
            "stray.png: image in no class folder (noted; not used)",
            "train/loose.png: image in no class folder (noted; not used)",
            "other/a.png: image in no split (noted; not used)",
            "train/empty: class folder without pictures (noted)",
        ]
    )
    assert data.report.stop_reason(strict=True) is None


def test_one_class_is_noted(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", {"train": {"cat": 3}})
    assert read(root).report.lines() == [".: one class only (noted; 'cat')"]


def test_other_classes_in_another_split_stop_both(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", {"train": {"ant": 2, "cat": 2}, "val": {"ant": 2, "dog": 1}})
    for split in ("train", "val"):
        with pytest.raises(DataError, match=r"train and val have .* \(train: ant, cat; val: ant, dog; make"):
            open_data(root, split, task=Task.CLASSIFY)
    assert "ant, dog" in str(check(root).stopped())
    (root / "classes.txt").write_text("dog\ncat\nant\n")
    data = open_data(root, "val", strict=True, task=Task.CLASSIFY)
    assert data.classes == ("dog", "cat", "ant") and [data[i].label for i in range(3)] == [2, 2, 0]


def test_a_folder_that_the_list_lacks_is_lost_and_counted(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", {"train": {"ant": 30, "dog": 1}})
    (root / "classes.txt").write_text("ant\n")
    report = read(root).report
    assert (report.files_seen, report.files_used, report.annotations_seen) == (31, 30, 31)
    line = "train/dog/0.png: its class folder is not in classes.txt (file left out; 'dog')"
    assert report.lines()[-1:] == [line] or line in report.lines()


def test_pictures_that_cannot_be_read_are_lost_with_their_labels(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", {"train": {"ant": 30, "cat": 2}})
    (root / "train/ant/3.png").write_bytes(b"")
    (root / "train/cat/0.png").write_text("<html>")
    data = read(root)
    assert data.report.annotations_used == data.report.files_used == len(data) == 30
    assert data.report.class_seen["cat"] == 2 and data.report.class_used["cat"] == 1
    (root / "train/cat/1.png").write_text("<html>")
    assert "every annotation of class 'cat' is lost" in str(read(root).report.stop_reason())


def test_only_decoding_shows_it(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", {"train": {"ant": 30, "cat": 12}})
    path = root / "train/cat/0.png"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 255
    path.write_bytes(bytes(data))
    (split,) = check(root).splits
    assert split.images == 41 and split.images_per_class == {"ant": 30, "cat": 11}
    assert split.report["annotations"]["used"] == 41


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m"])
def test_names_that_are_no_class(name: str, tmp_path: Path) -> None:
    root = write_folders(tmp_path / "pets", {"train": {"ant": 2, name: 1}})
    with pytest.raises(DataError, match=r"cannot be a class's name \(rename the folder\)$") as caught:
        open_data(root, task=Task.CLASSIFY)
    assert str(caught.value).isprintable()


def test_accents_are_composed_in_either_way(tmp_path: Path) -> None:
    write_folders(tmp_path / "pets", {"train": {"e\u0301te": 2, "ant": 1}, "val": {"\u00e9te": 1, "ant": 1}})
    data = open_data(tmp_path / "pets", "val", strict=True, task=Task.CLASSIFY)
    assert data.classes == ("ant", "\u00e9te") and len(data) == 2


@pytest.mark.parametrize(
    "places",
    [
        ["train/a.png", "val/b.png"],
        ["images/train/a.png", "labels/train/a.txt"],
        ["train/images/a.png", "train/labels/a.txt"],
        ["JPEGImages/a.png"],
        ["train2017/a.png", "annotations/instances_train2017.json"],
        ["train/a.png", "trainannot/a.png"],
        ["deep/pets/cat/a.png"],
        ["a.png", "b.png"],
    ],
)
def test_other_layouts_are_no_class_folders(places: list[str], tmp_path: Path) -> None:
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(b"")  # what its name says does not matter here
    assert not folders.finds(tmp_path)


def test_linked_class_folders_are_read(tmp_path: Path) -> None:
    write_folders(tmp_path / "more", {"": {"cat": 3, "ant": 1}})
    root = tmp_path / "pets"
    (root / "train").mkdir(parents=True)
    for name in ("cat", "ant"):
        (root / "train" / name).symlink_to(tmp_path / "more" / name)
    assert len(open_data(root, task=Task.CLASSIFY)) == 4


CLOTHING = {
    "dress": (241, 32, 15),
    "hat": (123, 14, 12),
    "longsleeve": (455, 49, 72),
    "outwear": (184, 24, 38),
    "pants": (468, 49, 42),
    "shirt": (290, 29, 26),
    "shoes": (198, 26, 73),
    "shorts": (202, 25, 30),
    "skirt": (112, 12, 12),
    "t-shirt": (795, 81, 52),
}


@pytest.mark.data
def test_clothing(sample_data: Callable[[str], Path]) -> None:
    root = sample_data("clothing")
    for place, split in enumerate(("train", "val", "test")):
        data = open_data(root, split, strict=True, task=Task.CLASSIFY)
        assert isinstance(data, Recorded) and data.report.lines() == [] and data.classes == tuple(CLOTHING)
        counts = torch.bincount(torch.from_numpy(data.records.labels)).tolist()
        assert counts == [row[place] for row in CLOTHING.values()]
