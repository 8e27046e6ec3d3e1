"""`neocog data`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neocog.cli import main
from neocog.data.open import open_data
from neocog.data.scenes import Scenes

CORNERS = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
OBJECT = f"<object><name>{{}}</name>{CORNERS}</object>"


def make_voc(root: Path, faulty: int) -> Path:
    """Two splits of ten pictures, two boxes each; in `faulty` pictures of the first one box is inverted."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for split, first in (("train", 0), ("val", 10)):
        names = [f"{number:02}" for number in range(first, first + 10)]
        (root / "ImageSets/Main" / f"{split}.txt").write_text("\n".join(names))
        for number, name in enumerate(names):
            Image.new("RGB", (64, 48), (first + number, 9, 9)).save(root / "JPEGImages" / f"{name}.png")
            right = 3 if split == "train" and number < faulty else 30
            objects = OBJECT.format("cat", 11, 6, 40, 40) + OBJECT.format("dog", 5, 5, right, 20)
            (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
    return root


def test_check_shows_counts_and_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_voc(tmp_path / "pets", faulty=1)
    assert main(["data", "check", str(data), "--json", str(tmp_path / "check.json")]) == 0
    out = capsys.readouterr().out
    assert "pets: voc, 2 classes\n" in out
    rows = [line.split() for line in out.splitlines()]
    assert ["train", "10", "0", "19", "0"] in rows and ["val", "10", "0", "20", "0"] in rows
    assert ["dog", "9", "9", "10", "10"] in rows
    assert "  Annotations/00.xml:object 2: box is inverted (annotation left out" in out
    assert out.endswith("\ntraining would start\n")
    result = json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert result["splits"]["train"]["annotations"]["lost"] == {"box is inverted": 1}
    assert result["stop"] is None and result["strict_stop"]


def test_check_fails_where_training_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_voc(tmp_path / "pets", faulty=4)
    assert main(["data", "check", str(data), "--json", "-"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["stop"]
    last = err.splitlines()[-1]
    assert last.startswith(f"neocog: {data}, train: 0 of 10 files and 4 of 20 annotations are lost")
    assert "training would start" not in err


def test_strict_forgives_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "--strict", str(make_voc(tmp_path / "clean", faulty=0))]) == 0
    assert main(["data", "check", "--strict", str(make_voc(tmp_path / "pets", faulty=1))]) == 3
    assert "strict" in capsys.readouterr().err


def test_pictures_that_are_the_same_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_voc(tmp_path / "pets", faulty=0)
    pictures = data / "JPEGImages"
    (pictures / "12.png").write_bytes((pictures / "03.png").read_bytes())
    assert main(["data", "check", str(data)]) == 0
    out = capsys.readouterr().out
    assert "the same picture in two splits: 1\n" in out
    assert "  train/JPEGImages/03.png = val/JPEGImages/12.png\n" in out


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_no_data_is_code_3(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["data", "check", str(tmp_path / name)]) == 3
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"neocog: {tmp_path / name}: ") and err.count("\n") == 1


@pytest.mark.parametrize("format", ["voc", "coco", "yolo"])
def test_scenes_in_files_are_the_scenes(
    format: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--format", format, "--count", "10", "--seed", "3", "--level", "hard", "--size", "96"]
    assert main(["data", "scenes", str(tmp_path / "pictures"), *words, "--json", "-"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["splits"] == {"train": 10, "val": 1, "test": 1} and result["images"] == 12
    written = open_data(tmp_path / "pictures", "train")
    drawn = Scenes("hard", "train", 10, seed=3, size=96)
    assert written.format == format and written.classes == drawn.classes and len(written) == 10
    by_name = sorted(range(10), key=written.identity)
    for index, place in enumerate(by_name):
        have, want = written[place], drawn[index]
        assert have.target is not None and want.target is not None
        np.testing.assert_array_equal(have.image, want.image)
        assert have.target.labels.tolist() == want.target.labels.tolist()
        # VOC is written with three decimals of a pixel; YOLO with six of a fraction of 96 pixels
        torch.testing.assert_close(have.target.boxes, want.target.boxes, atol=6e-4, rtol=0)


def test_convert_keeps_splits_classes_and_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_voc(tmp_path / "pets", faulty=1)
    assert main(["data", "convert", str(data), str(tmp_path / "pets-coco"), "--format", "coco"]) == 0
    out = capsys.readouterr().out
    assert "Annotations/00.xml:object 2: box is inverted (annotation left out" in out
    assert out.endswith("pets-coco: coco, 20 images (train 10, val 10), 39 boxes\n")
    assert (
        main(["data", "convert", str(tmp_path / "pets-coco"), str(tmp_path / "again"), "--format", "voc"])
        == 0
    )
    for split in ("train", "val"):
        before, after = open_data(data, split), open_data(tmp_path / "again", split)
        assert after.classes == before.classes and len(after) == len(before)
        for index in range(len(before)):
            torch.testing.assert_close(after.objects(index).boxes, before.objects(index).boxes)
            np.testing.assert_array_equal(after[index].image, before[index].image)


def test_convert_is_strict_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_voc(tmp_path / "pets", faulty=1)
    assert main(["data", "convert", str(data), str(tmp_path / "x"), "--format", "yolo", "--strict"]) == 3
    assert not (tmp_path / "x").exists()
    assert "strict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["data", "scenes", "{used}", "--count", "1"], 2, "not an empty folder"),
        (["data", "scenes", "{new}", "--format", "coca"], 2, "coco"),
        (["data", "scenes", "{new}", "--level", "hrad"], 3, "scenes:hard"),
        (["data", "convert", "{new}", "{new}", "--format", "voc"], 3, "no such file or folder"),
        (
            ["data", "convert", "{used}", "{new}", "--format", "voc", "--from", "coca"],
            2,
            "'coca' is not known",
        ),
        (["data", "check", "{used}", "--format", "tfrecord"], 2, "'tfrecord' is not known"),
        (["data", "check", "scenes"], 3, "generated data need no check"),
    ],
)
def test_what_cannot_be_written(
    words: list[str], code: int, hint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.tex").write_text("x")
    places = {"used": tmp_path / "used", "new": tmp_path / "new"}
    assert main([word.format(**places) for word in words]) == code
    assert hint in capsys.readouterr().err
    assert not (tmp_path / "new").exists() and len(list((tmp_path / "used").iterdir())) == 1


@pytest.mark.data
def test_a_real_data_set(sample_data: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    """BCCD (MIT, Shenggan/BCCD_Dataset): 364 pictures, 4,888 boxes; eight pairs are nearly equal."""
    assert main(["data", "check", str(sample_data("bccd")), "--json", "-"]) == 0
    splits = json.loads(capsys.readouterr().out)["splits"]
    assert {name: split["images"] for name, split in splits.items()} == {"train": 205, "val": 87, "test": 72}
    assert sum(split["boxes"] for split in splits.values()) == 4888
    assert sum(split["near_duplicates"] for split in splits.values()) == 8
