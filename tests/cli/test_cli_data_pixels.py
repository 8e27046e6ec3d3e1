"""`neocog data` on masks, class folders and IDX files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.references.datasets import many, write_voc
from tests.references.pixels import blocks, write_folders, write_idx, write_masks

from neocog.cli import main
from neocog.data.masks import MaskImages
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.types import Task


def test_check_of_masks_shows_pixels_and_no_boxes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_masks(tmp_path / "street", {"train": [blocks(0, 1, 11, 255)]}, "0 sky\n1 road\n11 void\n")
    words = ["data", "check", str(root), "--ignore-label", "11", "--json", str(tmp_path / "check.json")]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "street: masks, 2 classes\n" in out and "box" not in out
    assert out.endswith("training would start with --val-split none\n")
    rows = [line.split() for line in out.splitlines()]
    assert ["sky", "1", "25"] in rows and ["(ignored)", "1", "50"] in rows and ["train", "1"] in rows
    result = json.loads((tmp_path / "check.json").read_text())
    assert result["task"] == "segment" and result["splits"]["train"]["ignored_pixels"] == 200
    assert (
        main(
            ["data", "check", str(write_folders(tmp_path / "f", {"train": {"a": 1}})), "--ignore-label", "1"]
        )
        == 2
    )
    assert "ignore_label is a number in masks, and this is folders" in capsys.readouterr().err


def test_check_of_class_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_folders(tmp_path / "pets", {"train": {"ant": 3, "cat": 2}, "val": {"ant": 1, "cat": 1}})
    (root / "val/cat/0.png").write_bytes((root / "train/ant/1.png").read_bytes())
    assert main(["data", "check", str(root)]) == 0
    out = capsys.readouterr().out
    assert "pets: folders, 2 classes\n" in out and "box" not in out
    assert "  train/train/ant/1.png = val/val/cat/0.png\n" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["class", "train", "images", "val", "images"] in rows and ["ant", "3", "1"] in rows


@pytest.mark.parametrize(("format", "task"), [("masks", Task.SEGMENT), ("folders", Task.CLASSIFY)])
def test_scenes_are_written(
    format: str, task: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--format", format, "--count", "10", "--size", "48", "--seed", "3", "--json", "-"]
    assert main(["data", "scenes", str(tmp_path / "to"), *words]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["splits"] == {"train": 10, "val": 1, "test": 1}
    assert err.endswith(f"{tmp_path / 'to'}: {format}, 12 images (train 10, val 1, test 1)\n")
    data, drawn = open_data(tmp_path / "to", task=task), Scenes("std", count=10, seed=3, size=48, task=task)
    place = next(i for i in range(10) if data.identity(i).endswith("std_train_4.png"))
    assert data.classes == drawn.classes and (data[place].image == drawn[4].image).all()
    assert data[place].label == drawn[4].label
    if drawn[4].mask is not None:
        assert np.array_equal(data[place].mask, drawn[4].mask)  # type: ignore[arg-type]


def test_convert_stays_within_a_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
    digits = write_idx(tmp_path / "digits", "train", images, np.arange(20) % 3)
    assert main(["data", "convert", str(digits), str(tmp_path / "to"), "--format", "folders"]) == 0
    assert capsys.readouterr().out.endswith("to: folders, 20 images (train 18, val 2)\n")
    boxes = write_voc(tmp_path / "boxes", {"train": many(3)})
    for source, format, words in (
        (digits, "masks", "IDX files, which serve classify; for segment give one of: masks ("),
        (digits, "voc", "IDX files, which serve classify; for detect give one of: VOC ("),
        (boxes, "folders", "VOC annotations, which folders cannot hold (write voc, coco, yolo)"),
    ):
        assert main(["data", "convert", str(source), str(tmp_path / "new"), "--format", format]) == 3
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1 and not (tmp_path / "new").exists()


@pytest.mark.data
def test_nuclei_and_back(sample_data: Callable[[str], Path], tmp_path: Path) -> None:
    before = open_data(sample_data("dsb2018-nuclei"), "val", task=Task.SEGMENT)
    write_dataset({"val": before}, tmp_path / "to", "masks")
    after = open_data(tmp_path / "to", "val", strict=True, task=Task.SEGMENT)
    assert isinstance(before, MaskImages) and isinstance(after, MaskImages)
    assert before.classes == after.classes and len(before) == len(after) == 56
    assert all(np.array_equal(before.mask(i), after.mask(i)) for i in range(56))
