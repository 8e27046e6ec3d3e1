"""`--out` is made when there is something to write: a command that fails before leaves all as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset

SHORT = ["--size", "64", "--threads", "1", "--workers", "0", "--steps", "1"]
TOO_LATE = ["--val-split", "nowhere"]
"""A mistake that only shows when the data are opened."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("outs") / "data"
    write_dataset(
        {name: Scenes("std", name, count=6, size=64) for name in ("train", "val", "test")}, target, "voc"
    )
    return target


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("outs") / "run"
    assert main(["train", "faster-rcnn", "--data", str(data), "--out", str(out), *SHORT]) == 0
    return out


def told(words: list[str], code: int, capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    assert main(words) == code
    error = capfd.readouterr().err
    assert error.startswith("neocog: ") and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_a_mistake_found_late_makes_no_folder(
    verb: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    words = [verb, "faster-rcnn", "--data", str(data), "--out", str(out), *SHORT]
    assert "no split 'nowhere'" in told([*words, *TOO_LATE], 3, capfd)
    if verb == "train":
        assert "no feature map" in told([*words, "--set", "level=p9"], 2, capfd)
        assert "no feature map" in told([*words, "--set", "level=p9", "--resume"], 2, capfd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["train", "compare", "predict"])
def test_a_mistake_found_late_removes_no_earlier_run(
    verb: str, data: Path, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text("precious")
    words = [verb, "faster-rcnn", "--data", str(data), *SHORT, *TOO_LATE]
    if verb == "predict":
        (tmp_path / "bad.png").write_text("no picture")
        words = ["predict", str(run), str(tmp_path / "bad.png")]
    told([*words, "--out", str(out), "--overwrite"], 3, capfd)
    assert (out / "run.json").read_text() == "precious"


def test_an_empty_folder_of_the_users_stays(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "faster-rcnn", "--data", str(data), "--out", str(tmp_path), *SHORT, *TOO_LATE]
    told([*words, "--resume"], 3, capfd)
    told([*words, "--overwrite"], 3, capfd)
    assert tmp_path.is_dir()


def test_pictures_that_cannot_be_read_make_no_folder(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    for strict in ([], ["--strict"]):
        told(["predict", str(run), str(tmp_path), "--out", str(tmp_path / "out"), *strict], 3, capfd)
    assert not (tmp_path / "out").exists()


def test_what_is_to_be_read_is_not_overwritten(
    data: Path, run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    over = ["--out", str(run), "--overwrite"]
    before = sorted(run.rglob("*"))
    picture = next((data / "JPEGImages").iterdir())
    inside = run / "data"
    for words in (
        ["predict", str(run), str(picture), *over],
        ["predict", str(run / "model"), str(picture), *over],
        ["predict", str(tmp_path), str(run / "samples"), *over],
        ["train", "faster-rcnn", "--data", str(inside), *over, *SHORT],
        ["train", "faster-rcnn", "--data", str(data), "--weights", str(run / "x.safetensors"), *over],
        ["compare", "faster-rcnn", "--data", str(inside), *over, *SHORT],
    ):
        assert "which is to be read; give another folder" in told(words, 2, capfd)
    assert sorted(run.rglob("*")) == before
