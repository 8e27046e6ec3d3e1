"""Pascal VOC: the BCCD facts, the layouts, and what is done about damaged files."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.references.datasets import Picture, Thing, many, save_picture, write_voc, xml_object

from neocog.data.open import open_data, read_split, splits_of
from neocog.data.records import ImageDataset
from neocog.errors import DataError

BCCD = {
    "train": (205, 2805, {"Platelets": 209, "RBC": 2382, "WBC": 214}),
    "val": (87, 1138, {"Platelets": 83, "RBC": 968, "WBC": 87}),
    "test": (72, 945, {"Platelets": 69, "RBC": 805, "WBC": 71}),
    "trainval": (292, 3943, {"Platelets": 292, "RBC": 3350, "WBC": 301}),
}


@pytest.mark.data
@pytest.mark.parametrize("split", BCCD)
def test_bccd(split: str, sample_data: Callable[[str], Path]) -> None:
    data = open_data(sample_data("bccd"), split, strict=True)
    assert isinstance(data, ImageDataset) and data.format == "voc"
    images, boxes, classes = BCCD[split]
    counts = np.bincount(data.records.labels).tolist()
    assert (len(data), len(data.records.boxes)) == (images, boxes)
    assert dict(zip(data.classes, counts, strict=True)) == classes
    assert {data.size(index) for index in range(len(data))} == {(480, 640)}
    assert not data.records.ignore.any()
    report = data.report
    assert report.balanced and (report.files_seen, report.annotations_seen) == (images, boxes)


@pytest.mark.data
def test_the_one_pixel_boxes_of_bccd(sample_data: Callable[[str], Path]) -> None:
    for split, name, corner in [("train", "00343", (180, 328)), ("val", "00338", (503, 336))]:
        data = open_data(sample_data("bccd"), split)
        assert isinstance(data, ImageDataset)
        assert [fault.reason for fault in data.report.faults] == ["box one pixel wide or high"]
        assert data.report.faults[0].file == f"Annotations/BloodImage_{name}.xml"
        names = [data.identity(index) for index in range(len(data))]
        objects = data.objects(names.index(f"JPEGImages/BloodImage_{name}.jpg"))
        assert [*corner, corner[0] + 1, corner[1] + 1] in objects.boxes.tolist()


def read(root: Path, split: str = "train") -> ImageDataset:
    """A split that has not been judged."""
    return read_split(root, "voc", split)


def lines(data: ImageDataset) -> list[str]:
    return [fault.line for fault in data.report.faults]


def rewrite(root: Path, stem: str, *objects: str, head: str = "") -> Path:
    path = root / "Annotations" / f"{stem}.xml"
    path.write_text(f"<annotation>{head or SIZE}{''.join(objects)}</annotation>", encoding="utf-8")
    return path


SIZE = "<size><width>20</width><height>10</height></size>"
CLEAN = xml_object("cat", (3, 4, 12, 9))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "pets", {"train": many(12), "val": many(4, split="v")})


def test_clean_data_are_silent(pets: Path) -> None:
    data = read(pets)
    assert lines(data) == [] and data.classes == ("cat",) and data.name == "pets"
    assert data.objects(0).boxes.tolist() == [[2, 3, 12, 9]]


def test_boxes_are_one_based_and_inclusive(pets: Path) -> None:
    corners = [(1, 1, 20, 10), (0, 0, 20, 10), (4, 4, 4, 9), (2.5, 3, 7.5, 8)]
    rewrite(pets, "p0", *(xml_object("cat", corner) for corner in corners))
    data = read(pets)
    # The 0-based one lies where the first does: a duplicate.
    assert data.objects(0).boxes.tolist() == [[0, 0, 20, 10], [3, 3, 4, 9], [1.5, 2, 7.5, 8]]
    assert lines(data) == [
        "Annotations/p0.xml:object 3: box one pixel wide or high (noted)",
        "Annotations/p0.xml:object 2: duplicate of an earlier annotation (fixed; removed)",
    ]


@pytest.mark.parametrize(
    ("corners", "reason"),
    [
        ((9, 2, 5, 8), "box is inverted"),
        ((6, 2, 5, 8), "box has zero area"),
        ((100, 2, 110, 8), "box lies outside the image"),
        (("nan", 2, 5, 8), "box is not finite"),
        (("-inf", 2, 5, 8), "box is not finite"),
        (("1e999", 2, 5, 8), "box is not finite"),
        (("-1e9", 2, 5, 8), "box coordinate out of range"),
        ((2, 2, "99999999999999999999999", 8), "box coordinate out of range"),
        ((2, 2, "1_0", 8), "<xmax> is '1_0', not a number"),
        ((2, 2, "", 8), "no <xmax>"),
    ],
)
def test_a_bad_box_is_left_out_and_the_others_stay(
    corners: tuple[object, ...], reason: str, pets: Path
) -> None:
    rewrite(pets, "p0", xml_object("cat", corners), CLEAN)
    data = read(pets)
    assert len(data) == 12 and len(data.objects(0)) == 1
    (line,) = lines(data)
    assert line.startswith(f"Annotations/p0.xml:object 1: {reason} (annotation left out")
    assert data.report.balanced
    data.report.judge()
    with pytest.raises(DataError, match="strict"):
        data.report.judge(strict=True)


def test_boxes_partly_outside_are_clipped(pets: Path) -> None:
    rewrite(pets, "p0", xml_object("cat", (-4, 2, 30, 8)))
    data = read(pets)
    assert data.objects(0).boxes.tolist() == [[0, 1, 20, 8]]
    assert lines(data) == ["Annotations/p0.xml:object 1: box reaches outside the image (fixed; clipped)"]


def test_objects_that_are_not_whole(pets: Path) -> None:
    two = CLEAN.replace("</object>", "<bndbox><xmin>1</xmin></bndbox></object>")
    nameless, boxless = CLEAN.replace("<name>cat</name>", ""), "<object><name>cat</name></object>"
    rewrite(pets, "p0", two, nameless, boxless, CLEAN)
    assert [line.partition(" (")[0] for line in lines(read(pets))] == [
        "Annotations/p0.xml:object 1: 2 <bndbox> instead of 1",
        "Annotations/p0.xml:object 2: object without <name>",
        "Annotations/p0.xml:object 3: 0 <bndbox> instead of 1",
    ]


@pytest.mark.parametrize(("text", "ignore"), [("1", True), ("0", False), ("Unspecified", False), ("", False)])
def test_difficult_is_ignored(text: str, ignore: bool, pets: Path) -> None:
    rewrite(pets, "p0", xml_object("cat", (3, 4, 12, 9), f"<difficult>{text}</difficult>"))
    data = read(pets)
    assert data.objects(0).ignore.tolist() == [ignore] and not lines(data)


def test_parts_are_no_objects(pets: Path) -> None:
    part = f"<part>{CLEAN.removeprefix('<object>').removesuffix('</object>')}</part>"
    rewrite(pets, "p0", CLEAN.replace("</object>", f"{part}</object>"))
    assert len(read(pets).objects(0)) == 1


BOMB = "<!DOCTYPE a [<!ENTITY b 'ha'><!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><annotation>&c;</annotation>"
EXTERNAL = "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><annotation>&b;</annotation>"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (BOMB.encode(), "DTD not allowed"),
        (EXTERNAL.encode(), "DTD not allowed"),
        (f"<?xml version='1.0' encoding='utf-16'?>{BOMB}".encode("utf-16"), "DTD not allowed"),
        (BOMB.lower().encode(), "DTD not allowed"),
        (b"", "empty file"),
        (b"<annotation><object><name>cat</na", "damaged XML (line 1, column 29)"),
        (b"<?xml version='1.0' encoding='klingon'?><annotation/>", "damaged XML"),
        (b"<?xml version='1.0' encoding='utf-8'?><annotation>\xff\xfe</annotation>", "damaged XML"),
        (b"no XML at all", "damaged XML (line 1, column 0)"),
    ],
)
def test_damaged_xml_leaves_the_file_out(data: bytes, reason: str, pets: Path) -> None:
    (pets / "Annotations" / "p0.xml").write_bytes(data)
    found = read(pets)
    assert len(found) == 11 and found.report.balanced
    (line,) = lines(found)
    assert line.startswith(f"Annotations/p0.xml: {reason}") and line.endswith("(file left out)")


def test_missing_files_are_left_out(tmp_path: Path) -> None:
    pets = write_voc(tmp_path / "pets", {"train": many(30)})
    (pets / "JPEGImages/p0.png").unlink()
    (pets / "JPEGImages/p1.png").write_bytes(b"")
    (pets / "Annotations/p2.xml").unlink()
    data = read(pets)
    assert lines(data) == [
        "JPEGImages/p0: no such file or directory (file left out)",
        "JPEGImages/p1.png: empty file (file left out)",
        "Annotations/p2.xml: no such file or directory (file left out)",
    ]
    assert len(data) == 27 and data.report.balanced
    data.report.judge()


def test_sizes_come_from_the_image(pets: Path) -> None:
    rewrite(pets, "p0", CLEAN, head="<size><width>0</width><height>0</height><depth>0</depth></size>")
    rewrite(pets, "p1", CLEAN, head="<size><width>10</width><height>20</height></size>")
    rewrite(pets, "p2", CLEAN, head="<segmented>0</segmented>")
    data = read(pets)
    assert {data.size(index) for index in range(3)} == {(10, 20)}
    assert [line.partition(": ")[2].partition(" (")[0] for line in lines(data)] == [
        "no image size declared",
        "declared width and height are swapped",
        "no image size declared",
    ]
    data.report.judge(strict=True)


def test_sides_swapped_in_many_files_stop(pets: Path) -> None:
    for number in range(3):
        rewrite(pets, f"p{number}", CLEAN, head="<size><width>10</width><height>20</height></size>")
    with pytest.raises(DataError, match=r"3 of \d+ files swap width and height, .*: JPEGImages/p0\.png, "):
        open_data(pets)


def test_another_filename_is_noted(pets: Path) -> None:
    rewrite(pets, "p0", CLEAN, head=f"<filename>other.png</filename>{SIZE}")
    rewrite(pets, "p1", CLEAN, head=f"<filename>p1</filename>{SIZE}")
    data = read(pets)
    assert lines(data) == [
        "Annotations/p0.xml: <filename> names another image (noted; 'other.png'; matched by name)"
    ]


@pytest.mark.parametrize(
    ("text", "used"),
    [
        ("p0\r\np1\r\n", 2),
        ("\n\np0\n\n  p1  \n", 2),
        ("p0.png\np1.png", 2),
        ("p0  1\np1 -1\np2  0\n", 3),
        ("p0", 1),
        ("\ufeffp0\np1", 2),
    ],
)
def test_split_lists_as_people_write_them(text: str, used: int, pets: Path) -> None:
    (pets / "ImageSets/Main/train.txt").write_text(text, encoding="utf-8", newline="")
    data = read(pets)
    assert [data.identity(index) for index in range(len(data))] == [
        f"JPEGImages/p{number}.png" for number in range(used)
    ]
    assert data.report.stop_reason() is None
    unused = [fault for fault in data.report.faults if "in no split" in fault.reason]
    assert len(unused) == len(data.report.faults) == 2 * (12 - used)


def test_an_image_listed_twice_is_used_once(pets: Path) -> None:
    path = pets / "ImageSets/Main/train.txt"
    path.write_text(path.read_text() + "p3\np3.png\n")
    data = read(pets)
    assert len(data) == 12 and [line.partition(" (")[0] for line in lines(data)] == [
        "ImageSets/Main/train.txt:entry 13: image listed twice",
        "ImageSets/Main/train.txt:entry 14: image listed twice",
    ]


def test_lists_lead_nowhere_else(pets: Path) -> None:
    save_picture(pets.parent / "secret.png")
    (pets.parent / "secret.xml").write_text(f"<annotation>{CLEAN}</annotation>")
    path = pets / "ImageSets/Main/train.txt"
    path.write_text(f"{path.read_text()}../../secret\n")
    data = read(pets)
    assert len(data) == 12 and "leads outside root" in lines(data)[0]


def test_lists_of_a_class_are_no_splits(pets: Path) -> None:
    (pets / "ImageSets/Main/cat_train.txt").write_text("p0 1\n")
    (pets / "ImageSets/Main/valid.txt").write_text("v0\n")
    (pets / "ImageSets/Main/val.txt").unlink()
    assert splits_of(pets) == ("train", "val")


def test_class_order(tmp_path: Path) -> None:
    things = tuple(Thing(name, (1, 1, 5 + at, 5)) for at, name in enumerate(("dog", "cat", "ant")))
    world = {"train": [Picture("a", 20, 10, things[:2])], "val": [Picture("b", 20, 10, things[:2])]}
    pets = write_voc(tmp_path / "pets", world)
    assert read(pets).classes == read(pets, "val").classes == ("cat", "dog")
    (pets / "classes.txt").write_text("dog\ncat\n")
    assert read(pets).classes == read(pets, "val").classes == ("dog", "cat")
    (pets / "classes.txt").write_text("dog\ndog\n")
    with pytest.raises(DataError, match=r"classes.txt: a class is listed twice"):
        read(pets)


def test_a_class_outside_the_training_split_is_unknown(pets: Path) -> None:
    rewrite(pets, "v0", CLEAN, xml_object("Cat", (3, 4, 12, 8)), xml_object("emu", (3, 4, 12, 8)))
    data = read(pets, "val")
    assert data.classes == ("cat",)
    assert lines(data) == [
        "Annotations/v0.xml:object 2: unknown class 'Cat' (annotation left out; "
        "not in classes.txt or the training split; did you mean 'cat'?)",
        "Annotations/v0.xml:object 3: unknown class 'emu' (annotation left out; "
        "not in classes.txt or the training split)",
    ]


def test_trainval_without_a_list_is_train_and_val(pets: Path) -> None:
    data = open_data(pets, "trainval")
    assert isinstance(data, ImageDataset) and data.split == "trainval"
    names = [data.identity(index) for index in range(len(data))]
    assert names == [
        f"JPEGImages/{split}{number}.png" for split, n in (("p", 12), ("v", 4)) for number in range(n)
    ]
    assert [len(data.objects(index)) for index in range(16)] == [1] * 16
    assert data[15].image.shape == (10, 20, 3) and data.report.balanced and data.report.files_seen == 16


def test_without_lists_the_content_divides(tmp_path: Path) -> None:
    pets = write_voc(tmp_path / "pets", {"train": many(60)})
    for path in sorted((pets / "ImageSets/Main").iterdir()):
        path.unlink()
    assert splits_of(pets) == ("train", "val", "test")
    parts = {split: read(pets, split) for split in splits_of(pets)}
    names = {split: {data.identity(index) for index in range(len(data))} for split, data in parts.items()}
    assert sum(map(len, names.values())) == 60 == len(set.union(*names.values()))
    assert len(names["train"]) > 38 and names["val"] and names["test"]
    assert any("divided 80/10/10 by the content" in line for line in lines(parts["val"]))
    moved = pets.rename(tmp_path / "moved")
    assert {read(moved).identity(index) for index in range(len(read(moved)))} == names["train"]


def test_xml_beside_the_images(pets: Path, tmp_path: Path) -> None:
    for split, names in (("train", "p"), ("valid", "v")):
        folder = tmp_path / "export" / split
        folder.mkdir(parents=True)
        for source in (*(pets / "JPEGImages").iterdir(), *(pets / "Annotations").iterdir()):
            if source.name.startswith(names):
                (folder / source.name).write_bytes(source.read_bytes())
    export = tmp_path / "export"
    save_picture(export / "valid" / "bare.png", 8, 8)
    assert splits_of(export) == ("train", "val")
    assert len(open_data(export)) == 12
    data = read(export, "val")
    assert len(data) == 4 and data.identity(0) == "valid/v0.png"
    assert lines(data) == ["valid/bare.png: image in no split or without annotation (noted; not used)"]
    assert splits_of(export / "train") == ("train", "val", "test")


def test_names_of_every_kind(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "caf\u00e9")
    stems = ["a b", "100%", "-dash", "IMG", "img", "\U0001f408", "it's", composed, "x" * 200]
    things = (Thing("cat", (2, 3, 12, 9)),)
    pets = write_voc(tmp_path / "pets", {"train": [Picture(stem, 20, 10, things) for stem in stems]})
    for folder, suffix in (("JPEGImages", ".png"), ("Annotations", ".xml")):
        decomposed = unicodedata.normalize("NFD", composed)
        (pets / folder / f"{composed}{suffix}").rename(pets / folder / f"{decomposed}{suffix}")
    data = open_data(pets, strict=True)
    assert len(data) == len(stems) and not lines(read(pets))
    assert all(len(data[index].target or ()) == 1 for index in range(len(data)))


def test_the_order_of_the_folder_does_not_matter(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    first = read(pets).fingerprint
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda *args: sorted(listdir(*args), reverse=True))
    assert read(pets).fingerprint == first
