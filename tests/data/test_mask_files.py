"""Where masks lie: folders in pairs, lists of pairs, and what is left over."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.references.datasets import save_picture
from tests.references.pixels import blocks, save_mask

from neocog.data import masks
from neocog.data.masks import MaskImages
from neocog.data.open import find_format, open_data, read_split, splits_of
from neocog.errors import DataError
from neocog.types import Task

PLAIN = blocks(0, 1, 2)


def read(root: Path, split: str = "train") -> MaskImages:
    data = read_split(root, "masks", split)
    assert isinstance(data, MaskImages) and data.report.balanced
    return data


def opened(root: Path, split: str = "train") -> MaskImages:
    data = open_data(root, split, strict=True, task=Task.SEGMENT)
    assert isinstance(data, MaskImages)
    return data


def layout(root: Path, images: str, labels: str, suffix: str = "") -> None:
    for split in ("train", "val"):
        for number in range(3):
            image, mask = (f"{place.format(split)}/{split}{number}" for place in (images, labels))
            save_picture(root / f"{image}.png", 30, 10, number)
            save_mask(root / f"{mask}{suffix}.png", PLAIN)


@pytest.mark.parametrize(
    ("images", "labels", "suffix"),
    [
        ("{}", "{}annot", ""),
        ("{}", "{}_labels", "_L"),
        ("images/{}", "masks/{}", ""),
        ("images/{}", "labels/{}", "_mask"),
        ("images/{}", "annotations/{}", ""),
        ("{}/images", "{}/masks", ""),
        ("{}/images", "{}/labels", ""),
    ],
)
def test_folders_in_pairs(images: str, labels: str, suffix: str, tmp_path: Path) -> None:
    layout(tmp_path, images, labels, suffix)
    assert find_format(tmp_path) == find_format(tmp_path, task=Task.SEGMENT) == "masks"
    assert splits_of(tmp_path) == ("train", "val")
    data = opened(tmp_path, "val")
    assert len(data) == 3 and data.classes == ("background", "class 1", "class 2")
    assert data.report.lines() == [] and (data.mask(2) == PLAIN).all()
    save_picture(tmp_path / images.format("train") / "alone.png")
    save_mask(tmp_path / labels.format("train") / "spare.png", PLAIN)
    lines = read(tmp_path).report.lines()
    assert f"{images.format('train')}/alone.png: image without a mask (noted; not used)" in lines
    assert f"{labels.format('train')}/spare.png: mask without an image (noted; not used)" in lines


def test_without_splits_it_is_divided_by_content(tmp_path: Path) -> None:
    for number in range(60):
        save_picture(tmp_path / f"images/{number}.png", 30, 10, number)
        save_mask(tmp_path / f"masks/{number}.png", PLAIN)
    assert splits_of(tmp_path) == ("train", "val", "test")
    parts = [opened(tmp_path, split) for split in splits_of(tmp_path)]
    assert sum(map(len, parts)) == 60 and len(parts[0]) > 35
    assert parts[1].report.lines()[0].startswith(".: no splits given (noted; divided 80/10/10")


def test_lists_of_pairs(tmp_path: Path) -> None:
    layout(tmp_path, "{}", "{}annot")
    lines = [f"train/train{n}.png trainannot/train{n}.png" for n in (2, 0, 2)]
    (tmp_path / "train.txt").write_text("\r\n".join([*lines, "", "../a.png trainannot/x.png", "a b c"]))
    data = read(tmp_path)
    assert [data.identity(index) for index in range(len(data))] == ["train/train2.png", "train/train0.png"]
    assert data.report.lost_files == {
        "leads outside root": 1,
        "not a pair of an image and a mask": 1,
    }
    lines = data.report.lines()
    assert (
        "train.txt:entry 3: image listed twice (fixed; 'train/train2.png trainannot/train2.png' is used once)"
        in lines
    )
    assert "train/train1.png: image in no split (noted; not used)" in lines
    assert len(opened(tmp_path, "val")) == 3  # which has no list


def test_lists_of_another_disk_give_way_to_the_folders(tmp_path: Path) -> None:
    """As SegNet's own lists of CamVid."""
    layout(tmp_path, "{}", "{}annot")
    (tmp_path / "train.txt").write_text(
        "/SegNet/CamVid/train/train0.png /SegNet/CamVid/trainannot/train0.png\n"
    )
    assert len(opened(tmp_path)) == 3
    note = "train.txt: list without pairs of places in the data set (noted; not used)"
    assert opened(tmp_path).report.lines() == [note]


def test_voc_lists(tmp_path: Path) -> None:
    """Windows line ends, names with suffix, blank lines, an image listed twice, and places outside."""
    stems = [f"p{number}" for number in range(12)]
    for number, stem in enumerate(stems):
        save_picture(tmp_path / f"JPEGImages/{stem}.png", 30, 10, number)
        save_mask(tmp_path / f"SegmentationClass/{stem}.png", PLAIN)
    save_mask(tmp_path / "SegmentationClass/spare.png", PLAIN)
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\r\n".join(["p0.png", "", *stems[1:], "p3", "../p5"]))
    data = read(tmp_path)
    assert len(data) == 12 and data.report.lost_files == {"leads outside root": 1}
    lines = data.report.lines()
    assert "SegmentationClass/spare.png: image in no split (noted; not used)" in lines
    assert "ImageSets/Segmentation/train.txt:entry 13: image listed twice (fixed; 'p3' is used once)" in lines
    (lists / "train.txt").unlink()
    assert splits_of(tmp_path) == ("train", "val", "test") and len(read(tmp_path)) > 5


def test_two_places_of_one_split(tmp_path: Path) -> None:
    layout(tmp_path, "images/{}", "masks/{}")
    layout(tmp_path, "images/{}", "annotations/{}")
    with pytest.raises(DataError, match="two places for split 'train': annotations/train and masks/train"):
        splits_of(tmp_path)


@pytest.mark.parametrize("labels", ["labels/train/a.txt", "annotations/instances_train.json"])
def test_annotations_are_no_masks(labels: str, tmp_path: Path) -> None:
    save_picture(tmp_path / "images/train/a.png")
    save_picture((tmp_path / labels).with_suffix(".png"))
    (tmp_path / labels).write_text("0 0.5 0.5 0.5 0.5")
    assert not masks.finds(tmp_path)
