"""IDX files: pictures and labels as they were written, and one line for every file that lies."""

from __future__ import annotations

import gzip
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.references.pixels import idx_bytes, write_idx

from neocog.data import idx
from neocog.data.check import check
from neocog.data.open import find_format, open_data, read_split, splits_of
from neocog.errors import DataError
from neocog.types import Task

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def digits(count: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    dice = np.random.default_rng(seed)
    images = dice.integers(0, 256, (count, 5, 7), dtype=np.uint8)
    return images, (np.arange(count) % 4).astype(np.uint8)


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_and_labels_come_back(packed: bool, tmp_path: Path) -> None:
    images, labels = digits()
    root = write_idx(tmp_path / "digits", "train", images, labels, packed)
    write_idx(root, "t10k", images[:6], labels[:6], packed)
    assert find_format(root) == "idx" and splits_of(root) == ("train", "val", "test")
    train, val, test = (open_data(root, s, strict=True, task=Task.CLASSIFY) for s in splits_of(root))
    assert (len(train), len(val), len(test)) == (36, 4, 6)
    assert train.classes == val.classes == test.classes == ("0", "1", "2", "3")
    for data, start in ((train, 0), (val, 36), (test, 0)):
        for index in range(len(data)):
            sample = data[index]
            np.testing.assert_array_equal(sample.image, images[start + index][..., None].repeat(3, 2))
            assert sample.label == labels[start + index] == data.objects(index).labels.item()
            assert data.objects(index).boxes.tolist() == [[0, 0, 7, 5]] and data.size(index) == (5, 7)
    assert (train.identity(3), val.identity(0), test.identity(5)) == ("train/3", "train/36", "t10k/5")
    both = open_data(root, "trainval", task=Task.CLASSIFY)
    np.testing.assert_array_equal(np.stack([both[i].image[..., 0] for i in range(40)]), images)


def test_the_tenth_that_is_held_out_is_said(tmp_path: Path) -> None:
    root = write_idx(tmp_path / "digits", "train", *digits(39))
    told = {s: read_split(root, "idx", s).report.lines() for s in ("train", "val")}
    place = f"{IMAGES}.gz: no files to validate on (noted; "
    assert told["train"] == [f"{place}'train' is all but the last tenth of it)"]
    assert told["val"] == [f"{place}'val' is the last tenth of it)"]
    write_idx(root, "val", *digits(5))
    assert len(open_data(root, "train", task=Task.CLASSIFY)) == 39
    assert len(open_data(root, "val", task=Task.CLASSIFY)) == 5


def test_classes_may_have_names_and_labels_outside_them_are_lost(tmp_path: Path) -> None:
    images, labels = digits()
    labels[7] = 9
    root = write_idx(tmp_path / "digits", "train", images, labels)
    (root / "classes.txt").write_text("zero\none\ntwo\nthree\n")
    data = read_split(root, "idx", "train")
    assert data.classes == ("zero", "one", "two", "three") and len(data) == 35
    assert data.report.balanced and data.report.files_seen == 36
    line = f"{LABELS}.gz:label 7: label 9 outside the 4 classes of classes.txt (file left out)"
    assert line in data.report.lines()
    assert data.identity(7) == "train/8" and data[7].label == 0  # the one that follows
    np.testing.assert_array_equal(data[7].image[..., 0], images[8])


def test_a_packed_copy_beside_the_file_is_not_a_second_one(tmp_path: Path) -> None:
    root = write_idx(tmp_path / "digits", "train", *digits(), packed=True)
    write_idx(root, "train", *digits(), packed=False)
    lines = read_split(root, "idx", "train").report.lines()
    assert f"{IMAGES}.gz: IDX file beside the same one unpacked (noted; not used)" in lines
    write_idx(root, "t10k", *digits(8))
    write_idx(root, "test", *digits(8))
    with pytest.raises(DataError, match=r"two places for split 'test': t10k-images.* and test-images"):
        splits_of(root)


def header(*sizes: int) -> bytes:
    return bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes)


GOOD = idx_bytes(digits()[0])
BAD = {
    "empty": (b"", "truncated"),
    "text": (
        b"<html>404</html> and more",
        r"no IDX file of pictures \(it begins with 3c68746d, not 00000803\)",
    ),
    "labels": (idx_bytes(np.zeros(40)), r"truncated|it begins with 00000801"),
    "floats": (b"\0\0\x0d\3" + GOOD[4:], "it begins with 00000d03"),
    "swapped": (GOOD[:4][::-1] + GOOD[4:], "it begins with 03080000"),
    "cut header": (GOOD[:9], "truncated"),
    "cut": (GOOD[:-1], "truncated"),
    "longer": (GOOD + b"\0", r"more bytes than the header says \(1400 values\)"),
    "none": (header(40, 0, 7), "pictures without pixels"),
    "endless": (header(0xFFFFFFFF, 0xFFFF, 0xFFFF), "4294836225|4295 Mpx|entries limit"),
    "huge": (header(0xFFFFFFFF, 1, 1), "4294967295 entries > 2000000 entries limit"),
    "large": (header(2_000_000, 28, 28) + bytes(99), "1495 MiB of values > 1024 MiB limit"),
    "liar": (header(1_000_000, 28, 28) + bytes(99), r"truncated"),
    "fewer": (idx_bytes(digits(39)[0]), "40 labels for 39 images"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", BAD)
def test_a_file_that_lies_stops_in_one_line_and_takes_no_memory(
    name: str, packed: bool, tmp_path: Path
) -> None:
    data, reason = BAD[name]
    root = write_idx(tmp_path / "digits", "train", *digits(), packed)
    path = root / f"{IMAGES}{'.gz' if packed else ''}"
    path.write_bytes(gzip.compress(data) if packed else data)
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(DataError, match=reason) as caught:
        open_data(root, task=Task.CLASSIFY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(root) in str(caught.value) and "\n" not in str(caught.value)
    assert peak < 8 << 20 and time.perf_counter() - began < 2


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """64 MiB of zeros in 64 KiB: a header that tells less stops after what it tells."""
    root = write_idx(tmp_path / "digits", "train", *digits())
    (root / f"{IMAGES}.gz").write_bytes(gzip.compress(header(40, 5, 7) + bytes(64 << 20)))
    tracemalloc.start()
    with pytest.raises(DataError, match=r"more bytes than the header says \(1400 values\)$"):
        open_data(root, task=Task.CLASSIFY)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_damaged_packing(tmp_path: Path) -> None:
    root = write_idx(tmp_path / "digits", "train", *digits())
    path = root / f"{IMAGES}.gz"
    good = path.read_bytes()
    for data, reason in (
        (good[:-20], "truncated"),
        (good[:3], "truncated"),
        (b"PK" + good[2:], "damaged gzip file"),
        (good[:60] + bytes([good[60] ^ 255]) + good[61:], "damaged gzip file|truncated|more bytes"),
        (good[:-6] + b"\0\0" + good[-4:], "damaged gzip file .*CRC"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"{IMAGES}\.gz: ({reason})"):
            open_data(root, task=Task.CLASSIFY)


def test_no_labels_beside_the_pictures(tmp_path: Path) -> None:
    root = write_idx(tmp_path / "digits", "train", *digits())
    (root / f"{LABELS}.gz").unlink()
    with pytest.raises(DataError, match=rf"{IMAGES}\.gz: no file of labels beside it \({LABELS}\.gz\)$"):
        open_data(root, task=Task.CLASSIFY)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_array_or_one_reason(data: bytes) -> None:
    import io

    for sides in (1, 3):
        try:
            values = idx._array(io.BytesIO(data), sides, len(data))
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert values.ndim == sides and data == idx_bytes(values)


def test_check_counts_classes_and_finds_equal_pictures(tmp_path: Path) -> None:
    images, labels = digits()
    images[39] = images[2]
    result = check(write_idx(tmp_path / "digits", "train", images, labels))
    assert (result.format, result.task, result.kinds) == ("idx", Task.CLASSIFY, ("images",))
    assert result.class_rows() == [["0", 9, 1], ["1", 9, 1], ["2", 9, 1], ["3", 9, 1]]
    assert result.leaks == [("train/train/2", "val/train/39")] and result.stopped() is None
    assert "box_sizes" not in result.to_dict()["splits"]["train"]


@pytest.mark.data
def test_fashion_mnist(sample_data: Callable[[str], Path]) -> None:
    root = sample_data("fashion-mnist")
    counts = {}
    for split in ("train", "val", "test"):
        data = open_data(root, split, strict=True, task=Task.CLASSIFY)
        counts[split] = np.bincount(data.records.labels, minlength=10)  # type: ignore[attr-defined]
        assert data.classes == tuple("0123456789") and data.size(0) == (28, 28)
    assert (counts["train"] + counts["val"]).tolist() == [6000] * 10
    assert counts["test"].tolist() == [1000] * 10 and counts["val"].sum() == 6000
    whole = open_data(root, "trainval", task=Task.CLASSIFY)
    counts_of = np.bincount(whole._grey.ravel(), minlength=256) / whole._grey.size  # type: ignore[attr-defined]
    grey = np.arange(256) / 255
    mean = counts_of @ grey
    assert abs(mean - 0.2860) < 5e-5 and abs(np.sqrt(counts_of @ grey**2 - mean**2) - 0.3530) < 5e-5
