"""One place for each split, and a line for each picture, list or JSON file that no split covers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.references.datasets import World, many, save_picture, write_coco, write_voc, write_yolo

from neocog.data.open import find_format, open_data, read_split, splits_of
from neocog.errors import DataError

WORLD: World = {"train": many(12), "val": many(4, split="v"), "valid": many(4, split="w")}
PLAIN: World = {"train": many(12), "val": many(4, split="v")}


def stop(root: Path) -> str:
    with pytest.raises(DataError, match="two places for split") as caught:
        splits_of(root)
    return str(caught.value).removeprefix(f"{root}")


def lines(root: Path, split: str = "train") -> list[str]:
    return read_split(root, find_format(root), split).report.lines()


def yolo(root: Path, world: World = WORLD, config: str = "") -> Path:
    write_yolo(root, world, ["cat"])
    (root / "data.yaml").unlink()
    if config:
        (root / "data.yaml").write_text(f"{config}names: [cat]\n")
    return root


def test_two_folders_of_one_split(tmp_path: Path) -> None:
    assert "'val': images/val and images/valid (" in stop(yolo(tmp_path / "a"))
    years: World = {"train2014": many(3), "train2017": many(3, split="q"), "val": many(3, split="v")}
    assert "'train': images/train2014 and images/train2017 (" in stop(yolo(tmp_path / "b", years))
    root = tmp_path / "c"
    for split in WORLD:
        folder = write_voc(tmp_path / split, {"train": WORLD[split]})
        shutil.copytree(folder / "JPEGImages", root / split)
        shutil.copytree(folder / "Annotations", root / split, dirs_exist_ok=True)
    assert stop(root).startswith(": two places for split 'val': val and valid (")


def test_two_keys_of_data_yaml(tmp_path: Path) -> None:
    paths = "train: images/train\nval: images/val\n"
    assert stop(yolo(tmp_path / "a", config=f"{paths}valid: images/valid\n")).startswith(
        "/data.yaml: two places for split 'val': val: images/val and valid: images/valid ("
    )
    root = yolo(tmp_path / "b", PLAIN, f"{paths}valid: images/val\n")  # one place told twice
    assert splits_of(root) == ("train", "val") and lines(root) == []


def test_two_lists_of_one_split(tmp_path: Path) -> None:
    assert "'val': val.txt and valid.txt (" in stop(write_voc(tmp_path / "pets", WORLD))


@pytest.mark.parametrize("name", ["val.json", "instances_valid.json", "instances_validation.json"])
def test_two_json_files_of_one_split(name: str, tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", PLAIN, ["cat"])
    shutil.copy(root / "annotations/instances_val.json", root / "annotations" / name)
    assert f"'val': instances_val.json and {name} (" in stop(root)


def test_json_files_may_be_named_in_two_ways(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", PLAIN, ["cat"])
    (root / "annotations/instances_val.json").rename(root / "annotations/val.json")
    shutil.copy(root / "annotations/val.json", root / "annotations/night.json")
    (root / "annotations/categories.json").write_text("[]")
    (root / "annotations/captions_train.json").write_text("{}")
    assert splits_of(root) == ("train", "val", "night")
    assert len(open_data(root, "val")) == 4
    assert lines(root) == ["annotations/categories.json: JSON file of no split (noted; not used)"]


def test_json_files_in_two_places(tmp_path: Path) -> None:
    for split, pictures in PLAIN.items():
        home = write_coco(tmp_path / "from" / split, {split: pictures}, ["cat"])
        shutil.copytree(home / "images" / split, tmp_path / "to" / split)
        shutil.copy(
            home / f"annotations/instances_{split}.json", tmp_path / "to" / split / "_annotations.coco.json"
        )
    root = tmp_path / "to"
    (root / "train/_annotations.coco.json").rename(root / "train.json")
    assert splits_of(root) == ("train", "val") and len(open_data(root)) == 12


def test_pictures_of_no_split_yolo(tmp_path: Path) -> None:
    root = yolo(tmp_path / "pets", PLAIN)
    save_picture(root / "images/extra/a.png")
    save_picture(root / "images/loose.png")
    save_picture(root / "images/train/deep/b.png")  # belongs to train, and has no labels
    told = [line for line in lines(root, "val") if "no split" in line]
    assert told == [
        "images/extra/a.png: image in no split (noted; not used)",
        "images/loose.png: image in no split (noted; not used)",
    ]


@pytest.mark.parametrize("folder", ["images/extra", "test", "images/test/deep"])
def test_pictures_of_no_split_coco(folder: str, tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", PLAIN, ["cat"])
    save_picture(root / folder / "a.png")
    assert lines(root) == [f"{folder}/a.png: image in no split (noted; not used)"]


def test_a_folder_that_another_split_reads(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", PLAIN, ["cat"])
    (root / "images/extra").mkdir()
    (root / "images/val/v0.png").rename(root / "images/extra/v0.png")
    path = root / "annotations/instances_val.json"
    document = json.loads(path.read_text())
    document["images"][0]["file_name"] = "extra/v0.png"
    path.write_text(json.dumps(document))
    assert lines(root) == [] and len(open_data(root, "val")) == 4


def test_pictures_and_lists_of_no_split_voc(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "pets", PLAIN)
    save_picture(root / "JPEGImages/deep/a.png")
    for stem in ("cat_train", "my_train"):
        (root / f"ImageSets/Main/{stem}.txt").write_text("p0 1\n")
    assert lines(root) == [
        "ImageSets/Main/my_train.txt: list of no class and no split (noted; name it train.txt)",
        "JPEGImages/deep/a.png: image in no split (noted; not used; it lies in a subfolder)",
    ]


def test_a_label_file_in_capitals_is_told(tmp_path: Path) -> None:
    root = yolo(tmp_path / "pets", PLAIN)
    (root / "labels/train/p0.txt").rename(root / "labels/train/p0.TXT")
    assert "labels/train/p0.TXT: label without image (noted; not used; its name must end in .txt)" in lines(
        root
    )


def test_an_entry_that_leads_nowhere(tmp_path: Path) -> None:
    root = yolo(tmp_path / "pets", PLAIN, "train: images/train\nval: images/vall\ntest: images/test\n")
    why = f"{root}/data.yaml: val: no such folder or list: images/vall (correct or remove it)"
    with pytest.raises(DataError) as caught:
        open_data(root, "val")
    assert str(caught.value) == why and splits_of(root) == ("train", "val")
    told = [line for line in lines(root) if "no such folder" in line]
    assert len(told) == 2 and "there is no split 'test'" in told[1]


@pytest.mark.parametrize("entry", ["/", "../..", ".."])
def test_a_folder_around_the_data_set_is_refused(entry: str, tmp_path: Path) -> None:
    root = yolo(tmp_path / "pets", PLAIN, f"train: {entry}\nval: images/val\n")
    with pytest.raises(DataError, match=r"train is (the whole file system|a folder around the data set)"):
        open_data(root)
