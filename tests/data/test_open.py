"""The one door: formats found by looking, splits by name, one clear line where nothing can be opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.references.datasets import many, save_picture, write_coco, write_voc, write_yolo
from tests.references.pixels import blocks, write_folders, write_masks

from neocog.data.check import check
from neocog.data.open import find_format, open_data, other_formats, read_split, splits_of
from neocog.errors import DataError, UsageError
from neocog.types import Task

WORLD = {"train": many(3), "val": many(2, split="v")}


def refusal(path: str | Path, split: str = "train", **options: Any) -> str:
    with pytest.raises(DataError) as stopped:
        open_data(path, split, **options)
    assert str(stopped.value).startswith(f"{path}: ") and "\n" not in str(stopped.value)
    return str(stopped.value).removeprefix(f"{path}: ")


def test_formats_are_found_by_looking(tmp_path: Path) -> None:
    write_voc(tmp_path / "voc", WORLD)
    write_coco(tmp_path / "coco", WORLD, ["cat"])
    write_yolo(tmp_path / "yolo", WORLD, ["cat"])
    for name in ("voc", "coco", "yolo"):
        data = open_data(str(tmp_path / name), strict=True)
        assert (data.format, data.name, data.split, len(data)) == (name, name, "train", 3)
        assert splits_of(tmp_path / name) == ("train", "val")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Valid"])
def test_val_has_three_names(name: str, tmp_path: Path) -> None:
    data = open_data(write_voc(tmp_path / "pets", {"train": many(3), "validation": many(2)}), name)
    assert data.split == "val" and len(data) == 2


def test_trainval_in_every_format(tmp_path: Path) -> None:
    for root in (write_coco(tmp_path / "a", WORLD, ["cat"]), write_yolo(tmp_path / "b", WORLD, ["cat"])):
        data = open_data(root, "trainval", strict=True)
        assert len(data) == 5 and [len(data.objects(index)) for index in range(5)] == [1] * 5
        assert data.fingerprint != open_data(root, "train").fingerprint


def test_unknown_split(tmp_path: Path) -> None:
    pets = write_voc(tmp_path / "pets", WORLD)
    assert refusal(pets, "test") == "no split 'test' (there are: train, val)"


def test_nothing_to_open(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing") == "no such file or folder"
    assert refusal(tmp_path).startswith("empty folder (known layouts: VOC (")
    (tmp_path / "notes.txt").write_text("hello")
    reason = refusal(tmp_path)
    assert reason.startswith("no known layout found (known layouts: VOC (")
    assert "COCO (" in reason and "YOLO (" in reason
    assert refusal(tmp_path / "notes.txt").startswith("no known layout found")
    save_picture(tmp_path / "train" / "a.png")
    assert refusal(tmp_path).startswith("no known layout found")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "A.TGZ", "a.7z"])
def test_archives(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"PK")
    assert refusal(tmp_path / name) == "an archive (unpack it and give the folder)"


def test_a_folder_too_high(tmp_path: Path) -> None:
    pets = write_voc(tmp_path / "VOC2007", WORLD)
    assert f"did you mean {pets}?" in refusal(tmp_path)


def test_two_formats_in_one_folder(tmp_path: Path) -> None:
    pets = write_coco(write_voc(tmp_path / "pets", WORLD).with_name("both"), WORLD, ["cat"])
    for path in (tmp_path / "pets").iterdir():
        path.rename(pets / path.name)
    assert refusal(pets) == "more than one format found (say which: voc, coco)"
    assert open_data(pets, format="coco").format == "coco"
    assert open_data(pets, format="voc").format == "voc"
    assert open_data(pets / "annotations/instances_val.json", "val").format == "coco"


def test_unknown_format(tmp_path: Path) -> None:
    pets = write_voc(tmp_path / "pets", WORLD)
    with pytest.raises(UsageError, match=r"^format 'tfrecord' is not known \(known: voc, coco, yolo\)$"):
        open_data(pets, format="tfrecord")
    assert refusal(pets, format="yolo").startswith("no known layout found")


def test_scenes_are_generated() -> None:
    for name in ("scenes", "scenes:hard"):
        data = open_data(name, "validation")
        assert data.format == "scenes" and data.split == "val"
        assert splits_of(name) == ("train", "val", "test")


def test_losses_are_judged_here(tmp_path: Path) -> None:
    pets = write_voc(tmp_path / "pets", {"train": many(20)})
    (pets / "JPEGImages/p0.png").write_bytes(b"")
    assert len(open_data(pets)) == 19
    with pytest.raises(
        DataError, match=r"pets, train: 1 of 20 files .* strict .* first: JPEGImages/p0.png: empty"
    ):
        open_data(pets, strict=True)
    for number in range(1, 3):
        (pets / f"JPEGImages/p{number}.png").write_bytes(b"")
    with pytest.raises(DataError, match="3 of 20 files and 3 of 20 annotations are lost, more than 10%"):
        open_data(pets)
    assert len(read_split(pets, "voc", "train")) == 17


def test_nothing_is_written(tmp_path: Path) -> None:
    roots = [write_voc(tmp_path / "voc", WORLD), write_coco(tmp_path / "coco", WORLD, ["cat"])]
    roots.append(write_yolo(tmp_path / "yolo", WORLD, ["cat"]))

    def snapshot() -> dict[Path, tuple[bytes, int]]:
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = snapshot()
    for root in roots:
        assert open_data(root)[0].image.size
    assert snapshot() == before


def test_a_layout_of_another_task_is_named(tmp_path: Path) -> None:
    boxes = write_voc(tmp_path / "boxes", WORLD)
    folders = write_folders(tmp_path / "folders", {"train": {"cat": 2, "dog": 1}})
    masks = write_masks(tmp_path / "masks", {"train": [blocks(0, 1)]})
    assert refusal(folders).startswith("class folders, which serve classify; for detect give one of: VOC (")
    assert refusal(masks, task=Task.CLASSIFY).startswith(
        "segmentation masks, which serve segment; for classify give one of: VOC ("
    )
    reason = refusal(boxes, task=Task.SEGMENT)
    assert reason.startswith("VOC annotations, which serve detect, localize, classify; for segment give one")
    assert "masks (" in reason and "YOLO" not in reason
    with pytest.raises(
        UsageError, match=r"^format 'masks' serves segment, not detect \(known: voc, coco, yolo\)"
    ):
        open_data(masks, format="masks")
    with pytest.raises(DataError, match=r"no files serve the task 'reconstruct' \(give scenes\)"):
        open_data(masks, task=Task.RECONSTRUCT)
    with pytest.raises(UsageError, match="ignore_label 3 is a number in masks, and none are read"):
        open_data(boxes, ignore_label=3)


def test_a_folder_of_several_tasks_is_what_the_task_needs(tmp_path: Path) -> None:
    """As VOC2012: boxes and masks of the same pictures."""
    root = write_voc(tmp_path / "pets", WORLD)
    write_masks(tmp_path / "more", {"train": [np.zeros((10, 20))] * 2})
    for part in ("SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / "more" / part).rename(root / part)
    for path in (tmp_path / "more/JPEGImages").iterdir():
        path.rename(root / "JPEGImages" / path.name)
    assert open_data(root).format == "voc" and open_data(root, task=Task.SEGMENT).format == "masks"
    assert find_format(root) == "voc" and other_formats(root, "voc") == ["masks"]
    assert splits_of(root) == ("train", "val") and splits_of(root, task=Task.SEGMENT) == ("train",)
    result = check(root)
    assert (result.format, result.others) == ("voc", ("masks",)) and check(root, "masks").others == ()


@pytest.mark.data
@pytest.mark.parametrize("name", ["camvid", "clothing", "dsb2018-nuclei", "fashion-mnist"])
def test_other_kinds_of_data_are_no_detection_sets(name: str, sample_data: Callable[[str], Path]) -> None:
    from neocog.data import coco, voc, yolo

    root = sample_data(name)
    assert not voc.finds(root) and not coco.finds(root) and not yolo.finds(root)
    kind = {"camvid": "masks", "clothing": "folders", "dsb2018-nuclei": "masks", "fashion-mnist": "idx"}[name]
    assert find_format(root) == kind and other_formats(root, kind) == []
