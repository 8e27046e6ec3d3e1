"""Masks: every layout, every way to write a class number, and what must not be guessed."""

from __future__ import annotations

import pickle
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.references.pixels import blocks, save_mask, write_masks

from neocog.data.check import check
from neocog.data.masks import MaskImages
from neocog.data.open import find_format, open_data, read_split, splits_of
from neocog.errors import DataError, UsageError
from neocog.types import Task

NAMES = "background\ncat\ndog\n"
PLAIN = blocks(0, 1, 2)


def read(root: Path, split: str = "train", ignore_label: int | None = None) -> MaskImages:
    data = read_split(root, "masks", split, ignore_label)
    assert isinstance(data, MaskImages) and data.report.balanced
    return data


def opened(root: Path, split: str = "train", ignore_label: int | None = None) -> MaskImages:
    data = open_data(root, split, strict=True, task=Task.SEGMENT, ignore_label=ignore_label)
    assert isinstance(data, MaskImages)
    return data


def faults(root: Path) -> list[str]:
    return [fault.line for fault in read(root).report.faults]


@pytest.mark.parametrize("palette", [True, False])
def test_voc(palette: bool, tmp_path: Path) -> None:
    world = {"train": [PLAIN, blocks(2, 255, 0)], "val": [blocks(1, 1, 0)]}
    root = write_masks(tmp_path / "pets", world, NAMES, palette)
    assert find_format(root) == "masks" and splits_of(root) == ("train", "val")
    data = opened(root)
    assert (data.task, data.classes, len(data)) == (Task.SEGMENT, ("background", "cat", "dog"), 2)
    for index, mask in enumerate(world["train"]):
        sample = data[index]
        assert sample.mask is not None and sample.mask.dtype == np.uint8 and sample.label is None
        np.testing.assert_array_equal(sample.mask, mask)
        np.testing.assert_array_equal(data.mask(index), mask)
        assert sample.image.shape == (*mask.shape, 3) and len(data.objects(index)) == 0
    assert data.pixel_counts.tolist() == [[100, 100, 100, 0], [100, 0, 100, 100]]
    target = data[1].target
    assert target is not None and target.boxes.tolist() == [[0, 0, 10, 10]] and target.labels.tolist() == [2]
    both = opened(root, "trainval")
    assert len(both) == 3 and (both.mask(2) == world["val"][0]).all() and both[2].mask is not None
    assert len({data.fingerprint, opened(root, "val").fingerprint, both.fingerprint}) == 3


def test_the_fingerprint_sees_one_pixel(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN]}, NAMES)
    before = opened(root).fingerprint
    assert opened(root).fingerprint == before
    changed = PLAIN.copy()
    changed[0, 0], changed[9, 9] = 1, 1
    save_mask(root / "SegmentationClass/train0.png", changed)
    assert opened(root).fingerprint != before


def test_58_sizes_that_differ(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN] * 12}, NAMES)
    save_mask(root / "SegmentationClass/train3.png", PLAIN.T)
    assert faults(root) == [
        "SegmentationClass/train3.png: size of the mask differs from its image's "
        "(file left out; 10x30; the image is 30x10)"
    ]
    assert len(open_data(root, task=Task.SEGMENT)) == 11


@pytest.mark.parametrize(("format", "suffix"), [("JPEG", "jpg"), ("JPEG", "png"), ("WEBP", "webp")])
def test_58_a_lossy_mask_stops(format: str, suffix: str, tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN] * 12}, NAMES)
    (root / "SegmentationClass/train3.png").unlink()
    path = root / f"SegmentationClass/train3.{suffix}"
    Image.fromarray(PLAIN).save(path, format)
    with pytest.raises(DataError, match=rf"train3\.{suffix}: lossy mask \({format} changes class numbers"):
        open_data(root, task=Task.SEGMENT)


COLOURS = {0: (0, 0, 0), 1: (200, 10, 3), 2: (0, 255, 0)}
TABLE = "0 background 0 0 0\n1 cat 200 10 3\n2 dog 0 255 0\n"


def paint(mask: np.ndarray) -> np.ndarray:
    return np.array([COLOURS[value] for value in range(3)], np.uint8)[mask]


def test_58_colours_need_a_table(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN] * 12}, NAMES)
    for path in sorted((root / "SegmentationClass").iterdir()):
        Image.fromarray(paint(PLAIN)).save(path)
    with pytest.raises(DataError, match="colour-coded mask without a table of its colours") as caught:
        open_data(root, task=Task.SEGMENT)
    assert "number name red green blue" in str(caught.value)
    (root / "classes.txt").write_text(TABLE)
    data = opened(root)
    assert data.classes == ("background", "cat", "dog") and (data.mask(0) == PLAIN).all()
    wrong = paint(PLAIN)
    wrong[3, 3] = 1, 2, 3
    Image.fromarray(wrong).save(root / "SegmentationClass/train5.png")
    line = "SegmentationClass/train5.png: mask with values outside the classes (file left out; #010203)"
    assert faults(root) == [line]


def test_58_blurred_edges_are_listed(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN] * 12}, NAMES, palette=False)
    save_mask(root / "SegmentationClass/train2.png", blocks(0, 77, 2, 140)[:, :30], palette=False)
    line = "SegmentationClass/train2.png: mask with values outside the classes (file left out; 77)"
    assert faults(root) == [line]


def test_58_sixteen_bits(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN] * 12}, NAMES)
    for number, top in ((0, 2), (1, 255), (2, 700)):
        wide = PLAIN.astype(np.uint16)
        wide[0, 0] = top
        Image.fromarray(wide).save(root / f"SegmentationClass/train{number}.png")
    data = read(root)
    assert len(data) == 11 and data.mask(0)[0, 0] == 2 and data.mask(1)[0, 0] == 255
    assert (data.mask(1)[1:] == PLAIN[1:]).all()
    line = "SegmentationClass/train2.png: mask with values outside the classes (file left out; 700)"
    assert [fault.line for fault in data.report.faults] == [line]


def test_59_the_index_of_a_palette_is_the_class(tmp_path: Path) -> None:
    """Pillow's grey of VOC's class 1 is 38."""
    root = write_masks(tmp_path / "pets", {"train": [PLAIN]}, NAMES)
    image = Image.fromarray(PLAIN)
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(root / "SegmentationClass/train0.png")
    assert np.asarray(image.convert("L"))[0, 10] == 38
    assert (opened(root).mask(0) == PLAIN).all()


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_fewer_bits_a_pixel(bits: int, tmp_path: Path) -> None:
    """A grey PNG of 1, 2 or 4 bits, which Pillow would spread over 0..255, and a palette PNG."""
    mask = blocks(0, 1, (1 << bits) - 1)
    root = write_masks(tmp_path / "pets", {"train": [mask] * 2}, "".join(f"c{n}\n" for n in range(1 << bits)))
    save_mask(root / "SegmentationClass/train0.png", mask)
    Image.open(root / "SegmentationClass/train0.png").save(root / "SegmentationClass/train0.png", bits=bits)
    grey = bytearray((root / "SegmentationClass/train0.png").read_bytes())
    start = grey.index(b"PLTE") - 4
    length = int.from_bytes(grey[start : start + 4])
    del grey[start : start + 12 + length]  # without its palette
    grey[25] = 0  # and called grey
    grey[29:33] = zlib.crc32(grey[12:29]).to_bytes(4)
    (root / "SegmentationClass/train1.png").write_bytes(grey)
    data = opened(root)
    assert (data.mask(0) == mask).all() and (data.mask(1) == mask).all()


def test_60_a_mask_that_ignores_everything_is_fine(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN, blocks(255)], "val": [blocks(0, 1)]}, NAMES)
    data = opened(root)
    assert len(data) == 2 and (data.mask(1) == 255).all()
    target = data[1].target
    assert target is not None and len(target) == 0
    assert data.report.lines() == ["SegmentationClass/train1.png: mask that ignores every pixel (noted)"]
    assert opened(root, "val").classes == data.classes  # though it never shows a dog


def test_an_image_that_exif_turns_fits_the_mask_as_shown(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN] * 12}, NAMES)
    exif = Image.Exif()
    exif[0x0112] = 6
    for number, size in ((0, (10, 30)), (1, (30, 10))):  # stored width and height; shown turned
        Image.new("RGB", size, (9, number, 5)).save(root / f"JPEGImages/train{number}.png", exif=exif)
    data = read(root)
    assert len(data) == 11 and data[0].image.shape == (10, 30, 3)
    assert "10x30" in faults(root)[0] and "train1.png" in faults(root)[0]


def test_black_and_white(tmp_path: Path) -> None:
    world = {"train": [blocks(0, 255)] * 3, "val": [blocks(0)]}
    root = write_masks(tmp_path / "a", world, palette=False)
    data = opened(root)
    assert data.classes == ("background", "class 1") == opened(root, "val").classes
    assert (data.mask(0) == blocks(0, 1)).all()
    note = ".: masks of 0 and 255 alone (noted; 0 is 'background', 255 is 'class 1')"
    assert data.report.lines() == [note]
    for names, found in (("bg\ncell\n", ("bg", "cell")), ("cell\n", ("background", "cell"))):
        (root / "classes.txt").write_text(names)
        assert opened(root).classes == found and (opened(root).mask(0) == blocks(0, 1)).all()
    (root / "classes.txt").write_text(NAMES)  # three classes: 255 is what it is in VOC
    assert (opened(root).mask(0) == blocks(0, 255)).all()


def test_black_and_white_is_never_guessed(tmp_path: Path) -> None:
    palette = write_masks(tmp_path / "palette", {"train": [blocks(0, 255)]}, "background\ncell\n")
    assert (opened(palette).mask(0) == blocks(0, 255)).all()
    shown = write_masks(
        tmp_path / "shown", {"train": [blocks(0, 255)], "val": [blocks(0, 1)]}, "bg\ncell\n", palette=False
    )
    assert (opened(shown).mask(0) == blocks(0, 255)).all()  # as 1 is there, in the other split
    mixed = write_masks(tmp_path / "mixed", {"train": [blocks(0, 255)] * 9 + [blocks(0, 3, 255)]}, "", False)
    with pytest.raises(DataError, match="most masks hold 0 and 255 alone, and some do not"):
        open_data(mixed, task=Task.SEGMENT)
    (mixed / "classes.txt").write_text("background\ncell\n")
    data = open_data(mixed, task=Task.SEGMENT)
    assert isinstance(data, MaskImages) and len(data) == 9 and (data.mask(0) == blocks(0, 1)).all()
    blurred = write_masks(tmp_path / "blurred", {"train": [np.arange(255).reshape(15, 17)]}, "", False)
    with pytest.raises(DataError, match="numbers up to 254 and no list of classes"):
        open_data(blurred, task=Task.SEGMENT)


def test_a_list_without_background(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "voc", {"train": [PLAIN], "val": [blocks(0)]}, "cat\ndog\n")
    assert opened(root, "val").classes == ("background", "cat", "dog") == opened(root).classes
    street = write_masks(tmp_path / "street", {"train": [blocks(0, 1)]}, "sky\nroad\n")
    assert opened(street).classes == ("sky", "road")
    note = "classes.txt: no background listed, and none found (noted; 0 is 'sky')"
    assert opened(street).report.lines() == [note]
    (street / "classes.txt").write_text("1 road\n")
    assert opened(street).classes == ("background", "road")


def test_numbers_with_gaps_and_a_number_that_means_ignored(tmp_path: Path) -> None:
    names = "0 sky\n7 long road\n11 void\n"
    root = write_masks(tmp_path / "street", {"train": [blocks(0, 7, 11, 255)]}, names)
    assert (opened(root).mask(0) == blocks(0, 1, 2, 255)).all()
    data = opened(root, ignore_label=11)
    assert data.classes == ("sky", "long road") and (data.mask(0) == blocks(0, 1, 255, 255)).all()
    assert (opened(root, ignore_label=0).mask(0) == blocks(255, 0, 1, 255)).all()
    with pytest.raises(UsageError, match="ignore_label 256: masks have numbers from 0 to 255"):
        open_data(root, task=Task.SEGMENT, ignore_label=256)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cat\ncat\n", "'cat' is listed twice"),
        ("0 cat\n0 dog\n", "'0 dog' is listed twice"),
        ("0 a 1 2 3\n1 b 1 2 3\n", "'1 b 1 2 3' has the colour of 'a'"),
        ("\n", "no class in it"),
        ("".join(f"c{n}\n" for n in range(257)), "'c256' is one class too many"),
        ("a\x1b[1m\n", "cannot be a class's name"),
    ],
)
def test_lists_that_cannot_be(text: str, reason: str, tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN]}, text)
    with pytest.raises(DataError, match=rf"classes\.txt: .*{reason}"):
        open_data(root, task=Task.SEGMENT)


def test_a_class_of_which_every_mask_is_lost_stops(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [blocks(0, 1)] * 20 + [blocks(0, 2)]}, NAMES)
    (root / "JPEGImages/train20.png").write_bytes(b"")
    with pytest.raises(DataError, match="every annotation of class 'dog' is lost: 1 of 21 files"):
        open_data(root, task=Task.SEGMENT)


def test_a_mask_that_changed_is_not_read_as_something_else(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "pets", {"train": [PLAIN] * 2}, NAMES)
    data = opened(root)
    save_mask(root / "SegmentationClass/train0.png", blocks(0, 9, 2))
    save_mask(root / "SegmentationClass/train1.png", PLAIN.T)
    for index in range(2):
        with pytest.raises(DataError, match=rf"train{index}\.png: the mask changed \(open the data again\)"):
            data[index]


def test_what_workers_get_reads_the_same(tmp_path: Path) -> None:
    data = opened(write_masks(tmp_path / "pets", {"train": [PLAIN] * 200}, TABLE))
    packed = pickle.dumps(data)
    again = pickle.loads(packed)  # noqa: S301
    assert (again.mask(3) == PLAIN).all() and again.fingerprint == data.fingerprint
    assert len(packed) < 40_000  # names, sizes and counts, and no pixels


def test_check_counts_pixels(tmp_path: Path) -> None:
    world = {"train": [PLAIN] * 3 + [blocks(255, 0, 0)], "val": [PLAIN]}
    root = write_masks(tmp_path / "pets", world, NAMES)
    (root / "JPEGImages/val0.png").write_bytes((root / "JPEGImages/train1.png").read_bytes())
    result = check(root)
    assert (result.task, result.kinds) == (Task.SEGMENT, ("images", "% of pixels"))
    assert result.class_rows() == [
        ["background", 4, 41.67, 1, 33.33],
        ["cat", 3, 25.0, 1, 33.33],
        ["dog", 3, 25.0, 1, 33.33],
        ["(ignored)", 1, 8.33, 0, 0.0],
    ]
    assert result.leaks == [("train/JPEGImages/train1.png", "val/JPEGImages/val0.png")]
    found = result.to_dict()["splits"]["train"]
    assert found["pixels_per_class"] == {"background": 500, "cat": 300, "dog": 300}
    assert found["ignored_pixels"] == 100 and "boxes" not in found
    path = root / "JPEGImages/train2.png"
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"IDAT") + 20] ^= 255
    path.write_bytes(damaged)
    train = check(root).splits[0]
    assert train.pixels_per_class["cat"] == 200 and train.report["annotations"]["used"] == 3


CAMVID = {
    "train": [16.75, 23.23, 0.98, 31.79, 4.48, 9.71, 1.17, 1.13, 5.86, 0.64, 0.29, 3.96],
    "val": [9.13, 25.86, 0.56, 29.10, 8.72, 16.33, 0.89, 3.09, 1.75, 0.65, 2.22, 1.71],
    "test": [16.97, 24.58, 1.18, 25.92, 9.27, 11.23, 1.01, 1.18, 3.98, 0.63, 0.19, 3.86],
}


@pytest.mark.data
def test_camvid(sample_data: Callable[[str], Path]) -> None:
    root = sample_data("camvid")
    for (split, shares), count in zip(CAMVID.items(), (367, 101, 233), strict=True):
        data = opened(root, split, ignore_label=11)
        assert len(data) == count and len(data.classes) == 11 and data.classes[-1] == "Bicyclist"
        pixels = data.pixel_counts.sum(axis=0)
        np.testing.assert_allclose(100 * pixels / pixels.sum(), shares, atol=0.0051)
        assert data.report.lines() == []
        mask = data.mask(7)
        np.testing.assert_array_equal(
            np.bincount(mask.ravel(), minlength=256)[:11], data.pixel_counts[7, :11]
        )
    assert len(opened(root).classes) == 12


@pytest.mark.data
def test_nuclei(sample_data: Callable[[str], Path]) -> None:
    root = sample_data("dsb2018-nuclei")
    began = time.perf_counter()
    splits = [opened(root, split) for split in ("train", "val", "test")]
    assert time.perf_counter() - began < 10  # three times 538 masks
    assert [len(data) for data in splits] == [377, 56, 105]
    assert {data.classes for data in splits} == {("background", "nucleus")}
    pixels = sum(data.pixel_counts.sum(axis=0).astype(np.int64) for data in splits)
    assert pixels[2] == 0 and round(100 * pixels[1] / pixels.sum(), 2) == 16.06
    target = splits[0][0].target
    assert target is not None and set(target.labels.tolist()) <= {1}
    assert torch.equal(target.ignore, torch.zeros(len(target), dtype=torch.bool))
