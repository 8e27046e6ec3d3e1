"""Bad input from the command line: one clear line, the right exit code, the rest used, the loss counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset

TRAIN = ["--size", "64", "--batch", "4", "--steps", "2", "--threads", "1", "--workers", "0"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("bad") / "clean"
    counts = (("train", 40), ("val", 4), ("test", 4))
    write_dataset({name: Scenes("std", name, count=count) for name, count in counts}, target, "voc")
    return target


@pytest.fixture
def folder(clean: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    shutil.copytree(clean, tmp_path / "data")
    return tmp_path / "data"


def picture(folder: Path, place: int = 0) -> Path:
    names = (folder / "ImageSets" / "Main" / "train.txt").read_text().split()
    return next((folder / "JPEGImages").glob(f"{names[place]}.*"))


def annotation(folder: Path, place: int = 0) -> Path:
    return folder / "Annotations" / f"{picture(folder, place).stem}.xml"


def truncate(folder: Path) -> str:
    path = picture(folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return f"{path.name}: truncated"


def text_as_image(folder: Path) -> str:
    path = picture(folder)
    path.write_text("<html>404</html>")
    return f"{path.name}: not an image (text)"


def zero_area(folder: Path) -> str:
    path = annotation(folder)
    text = path.read_text()
    left = text.split("<xmin>")[1].split("</xmin>")[0]
    right = text.split("<xmax>")[1].split("</xmax>")[0]
    path.write_text(text.replace(f"<xmax>{right}", f"<xmax>{float(left) - 1:g}", 1))
    return "zero area"


def unknown_class(folder: Path) -> str:
    path = annotation(folder)
    name = path.read_text().split("<object>")[1].split("<name>")[1].split("</name>")[0]
    path.write_text(path.read_text().replace(f"<name>{name}<", "<name>zebra<", 1))
    return "zebra"


def cut_xml(folder: Path) -> str:
    path = annotation(folder)
    path.write_text(path.read_text()[:200])
    return f"{path.name}"


SPOILED: dict[str, Callable[[Path], str]] = {
    "a truncated picture": truncate,
    "a text file named as a picture": text_as_image,
    "a box without area": zero_area,
    "an unknown class": unknown_class,
    "an XML cut in half": cut_xml,
}


@pytest.mark.parametrize("name", SPOILED)
def test_the_rest_is_used_and_the_loss_counted(
    name: str, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = SPOILED[name](folder)
    out = tmp_path / "run"
    assert main(["train", "faster-rcnn", "--data", str(folder), "--out", str(out), *TRAIN]) == 0
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    told = [line for line in printed.out.splitlines() if expected in line]
    assert len(told) == 1, printed.out
    report = json.loads((out / "run.json").read_text())["data"]["report"]
    files, annotations = report["files"], report["annotations"]
    assert (files["seen"] - files["used"]) + (annotations["seen"] - annotations["used"]) >= 1
    assert main(["data", "check", str(folder)]) == 0
    assert expected in capfd.readouterr().out
    assert main(["data", "check", str(folder), "--strict"]) == 3
    capfd.readouterr()
    code = main(
        ["train", "faster-rcnn", "--data", str(folder), "--out", str(tmp_path / "s"), "--strict", *TRAIN]
    )
    error = capfd.readouterr().err
    assert code == 3 and error.count("\n") == 1 and expected in error


@pytest.mark.parametrize("verb", ["check", "train"])
def test_an_empty_data_set_and_a_missing_path(
    verb: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for path, words in ((empty, "empty"), (tmp_path / "nowhere", "nowhere: no such file")):
        if verb == "check":
            code = main(["data", "check", str(path)])
        else:
            code = main(["train", "faster-rcnn", "--data", str(path), "--out", str(tmp_path / "r"), *TRAIN])
        error = capfd.readouterr().err
        assert code == 3
        assert error.count("\n") == 1 and str(path) in error and words in error, error


def test_splits_with_other_class_lists_are_refused(
    clean: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Label 3 of one list is another thing in the other: a number over both would mean nothing."""
    splits = {name: Scenes("std", name, count=4) for name in ("train", "val", "test")}
    write_dataset(splits, tmp_path / "coco", "coco")
    for name in ("val", "test"):
        (path,) = (tmp_path / "coco").rglob(f"*{name}*.json")
        path.write_text(path.read_text().replace('"disc"', '"dish"'))
    data = ["--data", str(tmp_path / "coco")]
    run = ["train", "faster-rcnn", *data, "--out", str(tmp_path / "run"), *TRAIN]
    evaluate = ["evaluate", str(tmp_path / "run"), "--split", "test"]
    compare = ["compare", "faster-rcnn", *data, "--out", str(tmp_path / "c"), "--val-split", "none"]
    for words, code in ((run, 3), ([*run, "--overwrite", "--val-split", "none"], 0), (evaluate, 3)):
        capfd.readouterr()
        assert main(words) == code
        error = capfd.readouterr().err
        assert code == 0 or (error.count("\n") == 1 and "dish" in error and "are not those of" in error), (
            error
        )
    assert main([*compare, "--size", "64", "--steps", "1", "--workers", "0"]) == 3
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "split 'test'" in error and "the training split" in error


def test_prediction_skips_what_it_cannot_read(
    clean: Path, folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", "faster-rcnn", "--data", str(clean), "--out", str(out), *TRAIN]) == 0
    expected = truncate(folder)
    found = tmp_path / "found"
    capfd.readouterr()
    assert main(["predict", str(out), str(folder / "JPEGImages"), "--out", str(found)]) == 0
    assert expected in capfd.readouterr().out
    document = json.loads((found / "predictions.json").read_text())
    assert len(document["skipped"]) == 1
    assert len(document["images"]) == 47
    assert all((found / one["drawn"]).exists() for one in document["images"])
    assert main(["predict", str(out), str(tmp_path / "none*.jpg"), "--out", str(tmp_path / "f2")]) == 3
    assert main(["predict", str(tmp_path), str(picture(clean)), "--out", str(tmp_path / "f3")]) == 4
