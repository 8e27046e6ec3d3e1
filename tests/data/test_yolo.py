"""YOLO text labels: what people write, what is done about it, and where the files may lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.references.datasets import many, save_picture, write_yolo

from neocog.data.open import open_data, read_split, splits_of
from neocog.data.records import ImageDataset
from neocog.errors import DataError

CLEAN = "0 0.35 0.6 0.5 0.6"  # 2 3 12 9 of 20 x 10
BOX = [2, 3, 12, 9]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "pets", {"train": many(20), "val": many(4, split="v")}, ["cat", "dog"])


def label(root: Path, data: str | bytes, stem: str = "p0") -> None:
    path = root / "labels/train" / f"{stem}.txt"
    path.write_bytes(data.encode() if isinstance(data, str) else data)


def read(root: Path, split: str = "train") -> ImageDataset:
    """A split that has not been judged."""
    return read_split(root, "yolo", split)


def lines(data: ImageDataset) -> list[str]:
    return [fault.line for fault in data.report.faults]


def test_clean_data_are_silent(pets: Path) -> None:
    data = open_data(pets, strict=True)
    assert isinstance(data, ImageDataset) and lines(data) == [] and not data.report.backgrounds
    assert (data.format, data.classes, len(data)) == ("yolo", ("cat", "dog"), 20)
    assert data.objects(0).boxes.tolist() == [BOX] and data.identity(0) == "images/train/p0.png"


@pytest.mark.parametrize(
    "data",
    [
        CLEAN.replace(" ", "\t"),
        f"{CLEAN}\r\n",
        f"\n\n{CLEAN}  \n\n",
        b"\xef\xbb\xbf" + CLEAN.encode(),
        f"  {CLEAN}",
        CLEAN.replace("0 ", "0.0 ", 1),
    ],
)
def test_spelling_does_not_matter(data: str | bytes, pets: Path) -> None:
    label(pets, data)
    found = read(pets)
    assert found.objects(0).boxes.tolist() == [BOX] and lines(found) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0,0.5,0.5,0.1,0.1", "comma found, use spaces"),
        ("1.5 0.5 0.5 0.1 0.1", "class out of range (annotation left out; '1.5'; allowed: 0..1)"),
        ("-1 0.5 0.5 0.1 0.1", "class out of range (annotation left out; '-1'; allowed: 0..1)"),
        ("80 0.5 0.5 0.1 0.1", "class out of range (annotation left out; '80'; allowed: 0..1)"),
        ("person 0.5 0.5 0.1 0.1", "class out of range (annotation left out; 'person'; allowed: 0..1)"),
        ("nan 0.5 0.5 0.1 0.1", "class out of range"),
        ("0 0.5 0.5 0.1", "4 columns"),
        ("0", "1 columns"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 columns"),
        ("0 0.5 0.5 0.1 wide", "not a number"),
        ("0 0.5 0.5 0.1 1_0", "not a number"),
        ("0 nan 0.5 0.1 0.1", "box is not finite"),
        ("0 0.5 -inf 0.1 0.1", "box is not finite"),
        ("0 0.5 0.5 1e999 0.1", "box is not finite"),
        ("0 0.1 0.1 nan 0.1 0.3 0.3", "box is not finite"),
        ("0 -1e9 0.5 0.1 0.1", "box coordinate out of range"),
        ("0 0.5 0.5 -0.1 0.1", "box is inverted"),
        ("0 0.5 0.5 0 0.1", "box has zero area"),
        ("0 -0.5 0.5 0.1 0.1", "box lies outside the image"),
        ("0 320 240 100 100", "values above 1: pixels instead of fractions"),
        ("0 0.5 0.5 1.2 0.1", "values above 1: pixels instead of fractions"),
        ("0 0.5 0.5 1e308 0.1", "values above 1: pixels instead of fractions"),
    ],
)
def test_a_bad_line_is_left_out_and_the_others_stay(line: str, reason: str, pets: Path) -> None:
    label(pets, f"\n{line}\n{CLEAN}\n")
    data = read(pets)
    assert data.objects(0).boxes.tolist() == [BOX]
    found = lines(data)[-1]
    assert [fault.outcome.name for fault in data.report.faults].count("DROPPED") == 1
    assert found.startswith(f"labels/train/p0.txt:line 2: {reason}") and "annotation left out" in found
    assert data.report.balanced
    data.report.judge()


def test_rounding_above_one_is_clipped(pets: Path) -> None:
    label(pets, "0 0.5 0.5 1.0000001 1.0000001")
    data = read(pets)
    assert data.objects(0).boxes.tolist() == [[0, 0, 20, 10]]
    assert lines(data) == ["labels/train/p0.txt:line 1: value above 1 by rounding (fixed; clipped to 1)"]


def test_six_digits_are_no_fault(pets: Path) -> None:
    # 3 px of 7, against the right edge, as a writer with six digits leaves it: 3e-6 px outside.
    save_picture(pets / "images/train/p0.png", 7, 10)
    label(pets, f"0 {5.5 / 7 + 5e-7:.6f} 0.5 {3 / 7 + 5e-7:.6f} 0.5")
    data = read(pets)
    assert lines(data) == [] and data.objects(0).boxes[0, 2] == 7


def test_boxes_partly_outside_are_clipped(pets: Path) -> None:
    label(pets, "0 0.95 0.5 0.2 0.5")
    data = read(pets)
    assert data.objects(0).boxes[0, 2] == 20 and "clipped" in lines(data)[0]


def test_pixels_stop_the_split(pets: Path) -> None:
    for number in range(11):
        label(pets, "0 7 5 10 6", f"p{number}")
    with pytest.raises(DataError, match=r"not normalised\? 11 of 20 label lines"):
        open_data(pets)


def test_polygons_give_boxes(pets: Path) -> None:
    label(pets, f"1 0.1 0.3 0.6 0.3 0.6 0.9 0.1 0.9\n1 0.1 0.2 0.5 0.2 0.3 0.8\n{CLEAN}")
    data = read(pets)
    expected = [[2, 3, 12, 9], [2, 2, 10, 8], BOX]
    assert [[round(value, 4) for value in box] for box in data.objects(0).boxes.tolist()] == expected
    assert data.objects(0).labels.tolist() == [1, 1, 0]
    assert lines(data) == [
        ".: polygons instead of boxes (noted; boxes derived from 2)",
        "labels/train/p0.txt:line 3: same box under two classes (noted)",
    ]


def test_duplicates(pets: Path) -> None:
    label(pets, f"{CLEAN}\n{CLEAN}\n1{CLEAN[1:]}")
    data = read(pets)
    assert data.objects(0).labels.tolist() == [0, 1] and data.report.balanced
    assert [fault.record for fault in data.report.faults] == ["line 3", "line 2"]


def test_empty_and_missing_labels_are_counted_apart(pets: Path) -> None:
    label(pets, "", "p0")
    label(pets, "\n \n", "p1")
    (pets / "labels/train/p2.txt").unlink()
    data = open_data(pets, strict=True)
    assert isinstance(data, ImageDataset) and len(data) == 20
    assert data.report.backgrounds == {"empty label file": 2, "no label file": 1}
    assert lines(data) == [".: images without label file (noted; 1 of 20, taken as background)"]
    assert data.report.to_dict()["backgrounds"] == {"empty label file": 2, "no label file": 1}


def test_missing_labels_stop(pets: Path) -> None:
    for number in range(10):
        (pets / "labels/train" / f"p{number}.txt").unlink()
    assert len(open_data(pets)) == 20
    (pets / "labels/train/p10.txt").unlink()
    with pytest.raises(DataError, match=r"11 of 20 images have no label file \(labels folder not found\?\)"):
        open_data(pets)


def test_labels_without_image(pets: Path) -> None:
    label(pets, CLEAN, "ghost")
    (pets / "labels/train/classes.txt").write_text("cat\ndog\n")
    assert lines(read(pets)) == ["labels/train/ghost.txt: label without image (noted; not used)"]


@pytest.mark.parametrize("data", [b"0 \xff\xff", CLEAN.encode("utf-16")])
def test_labels_that_are_no_text(data: bytes, pets: Path) -> None:
    label(pets, data)
    found = read(pets)
    assert len(found) == 19 and found.report.balanced
    (line,) = lines(found)
    assert line.startswith("labels/train/p0.txt: not UTF-8 text (byte ")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_label_that_is_a_pipe(pets: Path) -> None:
    (pets / "labels/train/p0.txt").unlink()
    os.mkfifo(pets / "labels/train/p0.txt")
    assert lines(read(pets)) == ["labels/train/p0.txt: not a regular file (file left out)"]


def test_an_edit_of_the_same_length_is_noticed(pets: Path) -> None:
    before = read(pets).fingerprint
    label(pets, f"1{CLEAN[1:]}")
    assert read(pets).fingerprint != before


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("names: !!python/object/apply:os.system ['true']", r":line 1: could not determine a constructor"),
        ("names: [a\ntrain: x", r":line \d: "),
        ("names: [a]\nnames: [b]", ":line 2: duplicate key 'names'"),
        ("names:\n\t- a", ":line 2: found character '.t'"),
        ("names: [a, b]\nnc: 3", "nc is 3, but there are 2 names"),
        ("names: [a, a]", r"names\[1\] repeats 'a'"),
        ("names: [yes, a]", r"names\[0\] is no text \(put it in quotes\)"),
        ("names: {0: a, 2: b}", "the keys of names are not 0..1"),
        ("names: 3", "neither a list nor numbered names"),
        ("- names", "no names"),
        ("[" * 5000, "not YAML"),
    ],
)
def test_a_bad_config_stops(text: str, reason: str, pets: Path) -> None:
    (pets / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=reason) as stopped:
        open_data(pets)
    assert str(stopped.value).startswith(f"{pets / 'data.yaml'}:") and "\n" not in str(stopped.value)


def test_names_by_number(pets: Path) -> None:
    (pets / "data.yaml").write_text("train: images/train\nnames: {1: dog, 0: cat}\n")
    assert read(pets).classes == ("cat", "dog") and splits_of(pets) == ("train",)


@pytest.mark.parametrize(
    "text",
    [
        "train: images/train\nval: images/val\n",
        "train: ../images/train\nval: ../images/val\ntest: ../images/test\n",
        "path: .\ntrain: images/train\nvalid: images/val\n",
        "path: /nowhere/else\ntrain: [images/train]\nvalidation: ./images/val\n",
        "train: train.txt\nval: images/val\n",
        "",
    ],
)
def test_paths_in_the_config(text: str, pets: Path) -> None:
    (pets / "data.yaml").write_text(f"{text}names: [cat, dog]\n")
    (pets / "train.txt").write_text("".join(f"./images/train/p{number}.png\n" for number in range(20)))
    for path in (pets, pets / "data.yaml"):
        assert splits_of(path) == ("train", "val")
        data = open_data(path, strict=True)
        assert len(data) == 20 and len(data.objects(0)) == 1 and data.name == "pets"


def test_images_elsewhere_are_noted(pets: Path) -> None:
    config = pets.parent / "configs" / "pets.yaml"
    config.parent.mkdir()
    config.write_text(f"path: {pets}\ntrain: images/train\nnames: [cat, dog]\n")
    data = open_data(config)
    assert isinstance(data, ImageDataset) and len(data) == 20 and data[0].image.shape == (10, 20, 3)
    assert lines(data) == [".: images outside the data set's folder (noted; 20 of 20)"]


def move(root: Path, layout: str) -> Path:
    """The data set in another layout, without data.yaml."""
    new = root.parent / "moved"
    for path in sorted([*root.glob("images/*/*"), *root.glob("labels/*/*")]):
        kind, split, name = path.relative_to(root).parts
        split = {"val": "valid"}.get(split, split)
        target = new / layout.format(kind=kind, split=split) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    return new


@pytest.mark.parametrize("layout", ["{kind}/{split}", "{split}/{kind}", "{split}"])
def test_layouts_with_splits(layout: str, pets: Path) -> None:
    new = move(pets, layout)
    (new / "classes.txt").write_text("cat\ndog\n")
    assert splits_of(new) == ("train", "val")
    data = open_data(new, strict=True)
    assert len(data) == 20 and data.classes == ("cat", "dog") and len(data.objects(19)) == 1


@pytest.mark.parametrize("layout", ["{kind}", "."])
def test_layouts_without_splits(layout: str, pets: Path) -> None:
    new = move(pets, layout)
    (new / "classes.txt").write_text("cat\ndog\n")
    parts = [read(new, split) for split in splits_of(new)]
    assert len(parts) == 3 and sum(map(len, parts)) == 24 and len(parts[0]) > 12
    assert lines(parts[0]) == [".: no splits given (noted; divided 80/10/10 by the content of the images)"]


def test_numbers_are_the_names_of_last_resort(pets: Path) -> None:
    (pets / "data.yaml").unlink()
    (pets / "labels/val/v0.txt").write_text(f"{CLEAN}\n3 {CLEAN[2:]}")
    for split in ("train", "val"):
        data = read(pets, split)
        assert data.classes == ("0", "1", "2", "3")
        assert ".: no class names given (noted; numbers from the labels are used)" in lines(data)


def test_nc_without_names(pets: Path) -> None:
    label(pets, f"{CLEAN}\n5 0.5 0.5 0.2 0.2\n")
    paths = "train: images/train\nval: images/val\n"
    (pets / "data.yaml").write_text(f"{paths}nc: 2\n")
    data = read(pets)
    assert data.classes == ("0", "1")
    assert lines(data)[0] == ".: no class names given (noted; numbers from nc in data.yaml are used)"
    assert "class out of range (annotation left out; '5'; allowed: 0..1)" in lines(data)[1]
    (pets / "classes.txt").write_text("cat\ndog\nemu\n")
    with pytest.raises(DataError, match=r"classes.txt: 3 names, but nc in data.yaml is 2 \(correct one\)"):
        read(pets)
    for bad in ("two", "0", "-1", "1.5", "99999999999999999999", "true"):
        (pets / "data.yaml").write_text(f"{paths}nc: {bad}\n")
        with pytest.raises(DataError, match="nc is no number of 1 to 10000 classes"):
            read(pets)
