"""`neocog filter`: the picture it writes, what it tells, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from neocog.cli import main
from neocog.data.scenes import Scenes

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(Scenes("std", "train", 1, 0, 64)[0].image).save(path)
    return path


def told(words: list[str], code: int, capsys: Captured) -> str:
    capsys.readouterr()
    assert main(["filter", *words]) == code
    error = capsys.readouterr().err
    assert error.startswith("neocog: ") and error.count("\n") == 1
    return error


def test_a_picture_and_what_is_told(photo: Path, tmp_path: Path, capsys: Captured) -> None:
    out = tmp_path / "new" / "blurred.png"
    assert main(["filter", str(photo), "--kernel", "gaussian 2", "--stride", "2", "--out", str(out)]) == 0
    pixels = np.asarray(Image.open(photo)).astype(float)
    blurred = ndimage.gaussian_filter(pixels, (2, 2, 0), mode="mirror")[::2, ::2]
    np.testing.assert_allclose(np.asarray(Image.open(out)), blurred, atol=0.51)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("kernel: gaussian 2, 17 x 17, separable; applied as a column and a row, 34 ")
    assert lines[1] == "size: 64 x 64 -> 32 x 32, in colour"
    assert lines[2].endswith("clipped to 0..255") and lines[3] == f"picture: {out}"


def test_signed_and_absolute(photo: Path, tmp_path: Path, capsys: Captured) -> None:
    pixels = np.asarray(Image.open(photo).convert("L")).astype(float)
    Image.open(photo).convert("L").save(photo)
    edges = ndimage.sobel(pixels, axis=1, mode="mirror")
    limit = np.quantile(np.abs(edges), 0.999)
    words = ["filter", str(photo), "--kernel", "sobel-x", "--json", "-", "--overwrite", "--out"]
    assert main([*words, str(tmp_path / "signed.png")]) == 0
    told_json = capsys.readouterr()
    record = json.loads(told_json.out)
    assert record["separable"] is True and record["size"] == [64, 64] and record["largest"] == edges.max()
    assert "grey 0" in record["shown"] and record["shown"] in told_json.err
    drawn = np.asarray(Image.open(tmp_path / "signed.png"))
    assert drawn.shape == (64, 64)  # grey stays grey
    np.testing.assert_allclose(drawn, (127.5 + 127.5 * edges / limit).clip(0, 255), atol=0.51)
    assert main([*words, str(tmp_path / "absolute.png"), "--show", "absolute"]) == 0
    drawn = np.asarray(Image.open(tmp_path / "absolute.png"))
    np.testing.assert_allclose(drawn, (255 * np.abs(edges) / limit).clip(0, 255), atol=0.51)


def test_options_arrive(photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    kernel = np.array([[0, 0, 0], [0, 0.5, 0.5]])
    words = ["--kernel", "0 0 0; 0 .5 .5", "--padding", "none", "--dilation", "3", "--correlate"]
    assert main(["filter", str(photo), *words, "--out", str(out)]) == 0
    pixels = np.asarray(Image.open(photo)).astype(float)
    expected = kernel[1, 1] * pixels[3:, 3:-3] + kernel[1, 2] * pixels[3:, 6:]
    np.testing.assert_allclose(np.asarray(Image.open(out)), expected, atol=0.51)


def test_a_turned_picture_is_turned_back(photo: Path, tmp_path: Path) -> None:
    image = Image.open(photo).crop((0, 0, 40, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    words = ["filter", str(tmp_path / "turned.png"), "--kernel", "identity", "--out"]
    assert main([*words, str(tmp_path / "out.png")]) == 0
    assert (np.asarray(Image.open(tmp_path / "out.png")) == np.rot90(np.asarray(image), -1)).all()


def test_a_flat_picture_has_no_scale(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), (7, 7, 7)).save(tmp_path / "flat.png")
    words = [
        "filter",
        str(tmp_path / "flat.png"),
        "--kernel",
        "laplacian",
        "--out",
        str(tmp_path / "out.png"),
    ]
    assert main(words) == 0
    assert (np.asarray(Image.open(tmp_path / "out.png")) == 128).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kernel", "sobl-x"], "unknown kernel 'sobl-x': did you mean 'sobel-x'?"),
        (["--kernel", "1 2; 3"], "equally long"),
        (["--kernel", "box 65", "--padding", "none"], "a kernel of 65 does not fit"),
        (["--kernel", "box", "--padding", "mirror"], "unknown padding 'mirror'"),
        (["--kernel", "box", "--show", "sined"], "unknown --show 'sined': did you mean 'signed'?"),
        (["--kernel", "box", "--stride", "0"], "--stride"),
        ([], "--kernel"),
    ],
)
def test_wrong_words(words: list[str], message: str, photo: Path, tmp_path: Path, capsys: Captured) -> None:
    assert message in told([str(photo), *words, "--out", str(tmp_path / "out.png")], 2, capsys)
    assert not (tmp_path / "out.png").exists()


def test_wrong_outs(photo: Path, tmp_path: Path, capsys: Captured) -> None:
    def refuse(out: Path, *more: str) -> str:
        return told([str(photo), "--kernel", "box", "--out", str(out), *more], 2, capsys)

    before, there = photo.read_bytes(), tmp_path / "there.png"
    there.write_text("precious")
    assert "ends in .png" in refuse(tmp_path / "out.jpg")
    assert "is to be read" in refuse(photo, "--overwrite")
    assert "give --overwrite" in refuse(there) and there.read_text() == "precious"
    (tmp_path / "folder.png").mkdir()
    assert "is a folder" in refuse(tmp_path / "folder.png", "--overwrite")
    assert "there.png is a file" in refuse(there / "out.png")
    assert photo.read_bytes() == before


def test_wrong_pictures(tmp_path: Path, capsys: Captured) -> None:
    words = ["--kernel", "box", "--out", str(tmp_path / "out.png")]
    (tmp_path / "text.png").write_text("no picture")
    assert "text.png: not an image" in told([str(tmp_path / "text.png"), *words], 3, capsys)
    assert "missing.png" in told([str(tmp_path / "missing.png"), *words], 3, capsys)
