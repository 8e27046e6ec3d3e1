"""Pictures that open but do not decode: told by every verb, and under `--strict` the end of every verb."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image
from tests.badinputs.image_bytes import flipped_checksum

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset

SHORT = ["--size", "64", "--threads", "1"]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("strict") / "clean"
    splits = {name: Scenes("std", name, count=12, size=64) for name in ("train", "val", "test")}
    write_dataset(splits, target, "voc")
    return target


@pytest.fixture(scope="module")
def run(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("strict") / "run"
    words = ["train", "faster-rcnn", "--data", str(clean), "--out", str(out), "--steps", "1", *SHORT]
    assert main([*words, "--workers", "0"]) == 0
    return out


def emptiest(folder: Path, split: str) -> str:
    """The stem of the picture of a split that has the fewest objects: less than a tenth of them."""
    stems = (folder / "ImageSets/Main" / f"{split}.txt").read_text().split()
    texts = {stem: (folder / "Annotations" / f"{stem}.xml").read_text() for stem in stems}
    return min(texts, key=lambda stem: texts[stem].count("<object>"))


def spoil(folder: Path, split: str) -> str:
    """Damage a picture of a split where only its decoder notices."""
    path = folder / "JPEGImages" / f"{emptiest(folder, split)}.png"
    with Image.open(path) as file:
        image = file.convert("RGB")
    path.write_bytes(flipped_checksum(image))
    return path.name


def words_for(verb: str, data: Path, out: Path, run: Path) -> list[str]:
    common = ["--data", str(data)]
    if verb == "evaluate":
        return ["evaluate", str(run), *common, "--threads", "1"]
    budget = ["--epochs", "1.1", "--batch", "4"] if verb == "train" else ["--steps", "2"]
    return [verb, "faster-rcnn", *common, "--out", str(out), *budget, *SHORT]


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize(
    ("verb", "split"),
    [
        *(("train", "train"), ("train", "val"), ("evaluate", "test")),
        *(("compare", "train"), ("compare", "val"), ("compare", "test")),
    ],
)
def test_strict_ends_at_what_only_decoding_shows(
    verb: str,
    split: str,
    workers: str,
    clean: Path,
    run: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "data"
    shutil.copytree(clean, data)
    name = spoil(data, split)
    capfd.readouterr()
    assert main([*words_for(verb, data, tmp_path / "loose", run), "--workers", workers]) == 0
    told = [line for line in capfd.readouterr().out.splitlines() if name in line]
    assert len(told) == 1 and told[0].endswith("(file left out)"), told
    words = words_for(verb, data, tmp_path / "strict", run)
    assert main([*words, "--workers", workers, "--strict"]) == 3
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and error.rstrip().endswith("(strict reading allows none)"), error
    assert name in error


def test_what_opening_shows_of_the_other_splits_is_told(
    clean: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(clean, data)
    stem = emptiest(data, "val")
    (data / "JPEGImages" / f"{stem}.png").write_bytes(b"")
    words = ["train", "faster-rcnn", "--data", str(data), "--steps", "1", "--workers", "0", *SHORT]
    assert main([*words, "--out", str(tmp_path / "loose")]) == 0
    assert f"{stem}.png: empty file" in capfd.readouterr().out
    assert f"{stem}.png: empty file" in (tmp_path / "loose/run.json").read_text()
    assert main([*words, "--out", str(tmp_path / "strict"), "--strict"]) == 3
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and f"{stem}.png" in error and "val: " in error
