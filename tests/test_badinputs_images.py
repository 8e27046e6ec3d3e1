"""Every bad picture of the catalogue, through loading, check, training, evaluation and prediction."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.badinputs import (
    SIDE,
    BadInput,
    Command,
    Expected,
    Ground,
    Planted,
    drive,
    ground,
    judge,
    load,
    model,
    plant,
)
from tests.badinputs.image_bytes import (
    FOREIGN,
    chunk,
    encode,
    hostile_webp,
    plain_png,
    with_huffman_overflow,
)
from tests.badinputs.images import ITEMS, ORIENTATIONS, turned

from neocog.data.check import check
from neocog.data.images import decode_image, probe_image, read_image
from neocog.data.loader import evaluation_batches
from neocog.data.open import open_data
from neocog.errors import DataError
from neocog.predict import load as load_model
from neocog.transforms.recipes import evaluation_recipe

HERE = Path(__file__).parent
COMMANDS: tuple[Command, ...] = ("load", "check", "train", "evaluate", "predict")


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.format}-{item.id}")
def test_alone(item: BadInput, tmp_path: Path) -> None:
    if not item.needs():
        pytest.skip("this system has no such thing")
    spot = ground(tmp_path / "data", item.format)
    judge(plant(spot, [item]), "load", spot, tmp_path / "out")


@pytest.fixture(scope="module", params=["voc", "yolo"])
def together(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Ground, list[Planted]]:
    """All items of one format in one data set, large enough to bear the loss."""
    items = [item for item in ITEMS if item.format == request.param and item.needs()]
    lost = sum(item.expected is Expected.SKIP_FILE for item in items)
    spot = ground(tmp_path_factory.mktemp("together") / "data", request.param, max(48, 12 * lost))
    return spot, plant(spot, items)


@pytest.mark.parametrize("command", COMMANDS)
def test_together(command: Command, together: tuple[Ground, list[Planted]], tmp_path: Path) -> None:
    spot, planted = together
    concerned = [one for one in planted if command in one.item.commands]
    judge(concerned, command, spot, tmp_path / "out")


# 09: every command sees the same picture, and its boxes lie where they should


@pytest.mark.parametrize("item", ORIENTATIONS, ids=lambda item: item.id)
def test_a_turned_picture_is_the_upright_one(item: BadInput, tmp_path: Path) -> None:
    spot = ground(tmp_path / "data")
    with Image.open(spot.pictures[0]) as file:
        upright = np.asarray(file.convert("RGB"))[:40]
    path = spot.root / turned(spot, int(item.id.rpartition("-")[2]))
    sample = load(spot)[0]
    assert sample.target is not None and sample.target.boxes.tolist() == [[40, 8, SIDE, 40]]
    np.testing.assert_array_equal(sample.image, upright)
    predictor = load_model(model())
    np.testing.assert_array_equal(predictor.predict(path).boxes, predictor.predict(upright).boxes)
    evaluated = next(iter(evaluation_batches(load(spot), predictor.transform, batch_size=1)))
    assert evaluated.sizes[0] == (40, 64)


# 08: nothing that could parse a foreign format is ever started


def test_foreign_formats_reach_no_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.new("RGB", (SIDE, SIDE), (9, 99, 199))
    files = {name: code(picture) for name, code in FOREIGN.items()}

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a decoder was started")

    monkeypatch.setattr(Image, "open", refuse)
    for data in files.values():
        (tmp_path / "a.jpg").write_bytes(data)
        for read in (probe_image, read_image):
            with pytest.raises(DataError, match="format not allowed"):
                read(tmp_path / "a.jpg")


# 17 to 19: what a hostile file costs


def resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is not told in /proc here")
def test_hostile_files_leave_no_memory_behind() -> None:
    picture = Image.new("RGB", (SIDE, SIDE), (9, 99, 199))
    bad = (
        hostile_webp(picture),
        with_huffman_overflow(picture),
        plain_png(13000, 13000),
        encode(picture, "GIF"),
    )
    for repeat in range(1100):
        for data in bad:
            with pytest.raises(ValueError):
                decode_image(data)
        if repeat == 100:
            before = resident()
    assert resident() - before < 8 << 20


def scans(count: int, side: int) -> bytes:
    """A progressive JPEG of a few kilobytes whose header claims a large picture, its last scan repeated."""
    data = bytearray(encode(Image.new("RGB", (48, 48), (9, 99, 199)), "JPEG", progressive=True))
    start = data.index(b"\xff\xc2")
    data[start + 5 : start + 9] = struct.pack(">HH", side, side)
    last = bytes(data[data.rindex(b"\xff\xda") : -2])
    return bytes(data[:-2]) + last * count + b"\xff\xd9"


def short_scan(side: int) -> bytes:
    """A JPEG of 48 pixels whose header claims many more: libjpeg would fill the rest with grey."""
    data = bytearray(encode(Image.new("RGB", (48, 48), (9, 99, 199)), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def tiff(*tags: tuple[int, int, int, int], tail: bytes = b"", following: int = 0) -> bytes:
    """A TIFF directory as (tag, type, count, value or offset), and bytes behind it."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + struct.pack("<I", following) + tail


PLAIN = ((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 0), (279, 4, 1, 64))
SHARED = tiff(*PLAIN, *((700 + n, 7, 1 << 20, 0) for n in range(2000)), tail=b"\0" * (1 << 20))
TILE = tiff(*PLAIN[:4], (322, 4, 1, 60000), (323, 4, 1, 60000), (324, 4, 1, 0), (325, 4, 1, 64))
MANY = tiff(*PLAIN[:4], (273, 1, 2 << 20, 0), (279, 1, 2 << 20, 0), tail=b"\0" * (3 << 20))
PACKED = zlib.compress(b"x" * 900_000)
TEXTS = plain_png(8, 8, chunk(b"zTXt", b"note\0\0" + PACKED) * 40)
LATE = plain_png(8, 8)[:-12] + chunk(b"iCCP", b"icc\0\0" + PACKED) * 40 + chunk(b"IEND", b"")
EXIF = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + struct.pack("<HHII", 1, 1, 1, 0) * 5000
TURNS = plain_png(8, 8, chunk(b"eXIf", EXIF) * 1000)
RUNS = (
    b"BM" + struct.pack("<IIIIiiHHIIiiII", 66, 0, 62, 40, 40_000_000, 1, 1, 8, 1, 4, 0, 0, 1, 1) + b"\0" * 12
)


def chained(count: int) -> bytes:
    """Thousands of TIFF pages that share the bytes of one huge directory, each two bytes after the last."""
    head = tiff(*PLAIN, following=200_000)
    body = bytearray(b"\xff" * (1_200_000 - len(head)))
    data = bytearray(head + body)
    for page in range(count):
        struct.pack_into("<I", data, 200_000 + 14 * page + 2 + 12 * 0xFFFF, 200_000 + 14 * (page + 1))
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (scans(500, 6000), r"damaged JPEG \(\d+ scans\)"),
        (short_scan(6000), "truncated"),
        (SHARED, "tags share their bytes"),
        (TILE, "a tile of 60000x60000"),
        (MANY, "values of one tag"),
        (chained(10_000), r"\d+ frames"),
        (TEXTS, "PNG text chunks over 16 MiB"),
        (LATE, "PNG text chunks over 16 MiB"),
        (RUNS, "run-length BMP of 40 Mpx"),
    ],
    ids=[
        "scans",
        "short-scan",
        "shared-tags",
        "tile",
        "many-strips",
        "pages",
        "texts",
        "late-profiles",
        "runs",
    ],
)
def test_small_files_with_large_costs_are_refused_at_once(data: bytes, reason: str) -> None:
    began = time.perf_counter()
    with pytest.raises(ValueError, match=reason):
        decode_image(data)
    assert time.perf_counter() - began < 1


def test_only_the_first_exif_block_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(TURNS)
    began = time.perf_counter()
    assert probe_image(tmp_path / "a.png").width == 8
    assert time.perf_counter() - began < 1


# 24: files that vanish or change after the data were opened


def test_a_picture_that_vanishes_is_left_out_once_and_never_replaced(tmp_path: Path) -> None:
    spot = ground(tmp_path / "data")
    data = load(spot)
    first, second, third, *others = (data.path(index) for index in range(len(data)))
    first.unlink()
    second.write_bytes(b"")
    with Image.open(third) as file:
        smaller = file.convert("RGB").resize((32, 32))
    smaller.save(third)
    loader = evaluation_batches(data, evaluation_recipe((64, 64)), batch_size=4)
    for _ in range(2):
        seen = [key.index for batch in loader for key in batch.keys]
        assert seen == list(range(3, len(data)))
    assert len(loader.faults) == 3
    reasons = ("no such file or directory", "empty file", "size changed from 64x64 to 32x32")
    assert all(reason in line for reason, line in zip(reasons, loader.faults, strict=True))
    for path in others[:2]:
        path.unlink()
    with pytest.raises(DataError, match="5 of 48 images cannot be read, more than 10%"):
        list(evaluation_batches(data, evaluation_recipe((64, 64)), batch_size=4))


# 25: the same picture in two splits


def test_leaks_are_listed(tmp_path: Path) -> None:
    spot = ground(tmp_path / "data")
    test = (spot.root / "ImageSets/Main/test.txt").read_text().split()[0]
    with Image.open(spot.pictures[0]) as file:  # other bytes, the same pixels
        file.save(spot.root / "JPEGImages" / f"{test}.png", compress_level=0)
    pair = (f"train/{spot.place(spot.pictures[0])}", f"test/JPEGImages/{test}.png")
    assert check(spot.root).leaks == [pair]
    answer = drive(["data", "check", str(spot.root)])
    assert answer.code == 0 and f"  {pair[0]} = {pair[1]}\n" in answer.out


def test_pictures_of_all_kinds_are_the_same_to_everything(tmp_path: Path) -> None:
    """What `predict` is given as a file and what training is given from a data set are the same pixels."""
    spot = ground(tmp_path / "data")
    items = [item for item in ITEMS if item.expected in (Expected.OK, Expected.FIX) and item.format == "voc"]
    planted = plant(spot, [item for item in items if item.needs()])
    data = open_data(spot.root)
    places = {data.identity(index): index for index in range(len(data))}
    for item, place in planted:
        np.testing.assert_array_equal(data[places[place]].image, read_image(spot.root / place), item.id)


# The fuzzer


def test_three_thousand_mutated_pictures(tmp_path: Path) -> None:
    """The documented command itself, in its own process, so that a crash of a decoder is a failure here."""
    report = tmp_path / "report.json"
    words = ["--count", "3000", "--seed", "0", "--json", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz_images", *words],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(report.read_text())
    assert result["done"] == 3000 and result["failures"] == []
    assert result["pictures"] > 300 and sum(result["refused"].values()) > 1000
    assert result["pictures"] + sum(result["refused"].values()) == 3000
