"""Folders that cannot be read, links between folders, and paths that no disk takes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.references.datasets import many, save_picture, write_yolo

from neocog.cli import main
from neocog.cli.predict import drawn_names
from neocog.data.files import images_below
from neocog.data.open import open_data
from neocog.errors import DataError


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder unreadable, also to root: listing it and looking at what is in it fail."""
    scandir, stat = os.scandir, os.stat

    def forbid(folder: Path) -> None:
        def refuse(path: object) -> None:
            if f"{path}/".startswith(f"{folder}/"):
                raise PermissionError(13, "Permission denied", str(path))

        def listing(path: str = ".") -> object:
            refuse(path)
            return scandir(path)

        def look(path: object, **options: bool) -> object:
            if str(path) != str(folder):
                refuse(path)
            return stat(path, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "scandir", listing)
        monkeypatch.setattr(os, "stat", look)

    return forbid


def test_a_folder_that_cannot_be_read_stops(tmp_path: Path, forbidden: Callable[[Path], None]) -> None:
    root = write_yolo(tmp_path / "pets", {"train": many(4), "val": many(2)}, ["cat"])
    save_picture(root / "images/train/sub/a.png")
    assert len(open_data(root)) == 5
    forbidden(root / "images/train/sub")
    with pytest.raises(DataError, match=r"images/train/sub: permission denied$"):
        open_data(root)


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    for place in (home / "a.png", home / "deep/b.png", other / "c.png", other / "d/e.png"):
        save_picture(place)
    (home / "more").symlink_to(other)
    (home / "again").symlink_to(other)
    (home / "deep/up").symlink_to(home)
    (other / "back").symlink_to(home / "deep")
    assert images_below(home) == ["a.png", "again/back/b.png", "again/c.png", "again/d/e.png"]


def test_linked_pictures_and_labels_are_used(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "pets", {"train": many(4), "val": many(2)}, ["cat"])
    more = write_yolo(tmp_path / "more", {"train": many(3, split="m")}, ["cat"])
    (root / "images/train/more").symlink_to(more / "images/train")
    (root / "labels/train/more").symlink_to(more / "labels/train")
    assert len(open_data(root, strict=True)) == 7


LONG = "x" * 300


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["data", "check", "{}"], 3),
        (["data", "convert", "{}", "new", "--format", "voc"], 3),
        (["train", "faster-rcnn", "--data", "{}", "--out", "new"], 3),
        (["predict", "{}", "a.png", "--out", "new"], 4),
        (["evaluate", "{}"], 4),
        (["data", "scenes", "{}", "--count", "1"], 2),
        (["train", "faster-rcnn", "--data", "scenes", "--out", "{}"], 2),
    ],
)
@pytest.mark.parametrize("place", [LONG, "closed/pets"])
def test_paths_that_cannot_be(
    words: list[str],
    code: int,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    forbidden: Callable[[Path], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "closed").mkdir()
    forbidden(Path("closed"))
    assert main([word.format(place) for word in words]) == code
    error = capsys.readouterr().err
    assert place in error and ("name too long" in error or "ermission denied" in error)
    assert error.count("\n") == 1


def test_drawn_pictures_have_names_that_every_disk_takes() -> None:
    stem = "n" * 251
    names = drawn_names(
        [Path("a") / f"{stem}.png", Path("b") / f"{stem}.png", Path("c") / f"{'é' * 120}.png"]
    )
    assert names[:2] == [f"{'n' * 200}.png", f"{'n' * 200}-2.png"] and names[2] == f"{'é' * 100}.png"
