"""COCO JSON: ids and categories as people write them, and what is done about damaged files."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from tests.references.datasets import Picture, Thing, coco_document, many, save_picture, write_coco

from neocog.data.open import open_data, read_split, splits_of
from neocog.data.records import ImageDataset
from neocog.errors import DataError

WORLD = {"train": many(20), "val": many(4, split="v")}


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return write_coco(tmp_path / "pets", WORLD, ["cat", "dog"])


def file_of(root: Path, split: str = "train") -> Path:
    return root / "annotations" / f"instances_{split}.json"


def edit(root: Path, change: Callable[[dict[str, Any]], None], split: str = "train") -> None:
    document = json.loads(file_of(root, split).read_text())
    change(document)
    file_of(root, split).write_text(json.dumps(document))


def change_first(root: Path, **values: Any) -> None:
    """Change the first annotation; a value of None removes the key."""

    def change(document: dict[str, Any]) -> None:
        entry = document["annotations"][0] | values
        document["annotations"][0] = {key: value for key, value in entry.items() if value is not None}

    edit(root, change)


def read(root: Path, split: str = "train") -> ImageDataset:
    """A split that has not been judged."""
    return read_split(root, "coco", split)


def lines(data: ImageDataset) -> list[str]:
    return [fault.line for fault in data.report.faults]


def test_clean_data_are_silent(pets: Path) -> None:
    data = open_data(pets, strict=True)
    assert isinstance(data, ImageDataset) and lines(data) == []
    assert (data.format, data.classes, len(data)) == ("coco", ("cat", "dog"), 20)
    assert data.objects(0).boxes.tolist() == [[2, 3, 12, 9]] and data.areas(0).tolist() == [30]
    assert splits_of(pets) == ("train", "val")


def test_equal_to_pycocotools(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    classes = ["ant", "bee", "cat"]
    pictures = []
    for number in range(8):
        corners = random.integers(0, 400, (number, 4)) / 8
        found = [
            Thing(classes[random.integers(3)], (x, y, x + w + 1, y + h + 1), bool(random.integers(2)))
            for x, y, w, h in (corners * [1, 1, 0.5, 0.5]).tolist()
        ]
        pictures.append(Picture(f"p{number}", 100, 100, tuple(found)))
    root = write_coco(tmp_path / "pets", {"train": pictures}, classes)
    data = read(root)
    oracle = COCO(str(file_of(root)))
    assert not lines(data)
    for index in range(len(data)):
        entries = oracle.loadAnns(oracle.getAnnIds(imgIds=[index]))
        boxes = np.array([e["bbox"] for e in entries]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        names = [oracle.loadCats(e["category_id"])[0]["name"] for e in entries]
        objects = data.objects(index)
        np.testing.assert_allclose(objects.boxes.numpy(), boxes, atol=1e-4)
        assert [data.classes[label] for label in objects.labels.tolist()] == names
        assert objects.ignore.tolist() == [bool(e["iscrowd"]) for e in entries]
        np.testing.assert_allclose(data.areas(index), [e["area"] for e in entries], rtol=1e-6)


def test_classes_are_in_the_order_of_their_ids(pets: Path) -> None:
    edit(pets, lambda document: document["categories"].reverse())
    assert read(pets).classes == ("cat", "dog")
    edit(pets, lambda document: document["categories"][0].update(id=0))
    assert read(pets).classes == ("dog", "cat")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"images": [', r"not JSON or cut off \(line 1, column 13, offset 12"),
        ("", r"not JSON or cut off \(line 1, column 1, offset 0"),
        ("<html>", r"not JSON or cut off"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"images": [], "images": []}', "duplicate key 'images'"),
        (
            '{"images": [], "annotations": [{"bbox": [NaN, 1, 1, 1]}], "categories": []}',
            "NaN is not a JSON number",
        ),
        ('{"images": [-Infinity]}', "-Infinity is not a JSON number"),
        ("[]", "top level is a list"),
        ("17", "top level is a value"),
        ('{"images": [], "categories": []}', "missing annotations"),
        ('{"images": {}, "annotations": [], "categories": []}', "missing images"),
        ('{"images": [1], "annotations": [], "categories": []}', r"images\[0\]: no usable id"),
        (
            '{"images": [{"id": 1}, {"id": 1}], "annotations": [], "categories": []}',
            r"\[1\]: image id 1 is used twice",
        ),
        (
            '{"images": [], "annotations": [], "categories": [{"id": 1}]}',
            r"categories\[0\]: no usable id and name",
        ),
        ("1" * 5000, "limit"),
    ],
)
def test_what_stops(text: str, reason: str, pets: Path) -> None:
    file_of(pets).write_text(text)
    with pytest.raises(DataError, match=reason) as stopped:
        open_data(pets)
    assert str(stopped.value).startswith(str(file_of(pets))) and "\n" not in str(stopped.value)
    assert len(str(stopped.value)) < 400


def test_bytes_that_are_no_text_stop(pets: Path) -> None:
    file_of(pets).write_bytes(b'{"a": "\xff\xff"}')
    with pytest.raises(DataError, match=r"not UTF-8 text \(offset 7\)"):
        open_data(pets)


@pytest.mark.parametrize(
    ("key", "reason"), [("name", "name 'cat' is used twice"), ("id", "id 10 is used twice")]
)
def test_categories_are_unique(key: str, reason: str, pets: Path) -> None:
    edit(pets, lambda document: document["categories"][1].update({key: document["categories"][0][key]}))
    with pytest.raises(DataError, match=reason):
        open_data(pets)


def test_ids_of_mixed_types_stop_with_an_example(pets: Path) -> None:
    change_first(pets, image_id="0")
    with pytest.raises(DataError, match=r"image ids are of mixed types, as '0' and \d+"):
        open_data(pets)
    change_first(pets, image_id=0)
    edit(pets, lambda document: document["categories"][0].update(id="10"))
    with pytest.raises(DataError, match=r"category ids are of mixed types, as '10' and 17"):
        open_data(pets)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"bbox": []}, "bbox is not four numbers"),
        ({"bbox": [1, 2, 3]}, "bbox is not four numbers"),
        ({"bbox": [1, 2, 3, 4, 5]}, "bbox is not four numbers"),
        ({"bbox": ["1", "2", "3", "4"]}, "bbox is not four numbers"),
        ({"bbox": [1, 2, True, 4]}, "bbox is not four numbers"),
        ({"bbox": None}, "bbox is not four numbers"),
        ({"bbox": {"x": 1}}, "bbox is not four numbers"),
        ({"bbox": [5, 5, -3, 3]}, "box is inverted"),
        ({"bbox": [5, 5, 0, 3]}, "box has zero area"),
        ({"bbox": [50, 5, 3, 3]}, "box lies outside the image"),
        ({"bbox": [5, 5, 10**30, 3]}, "box coordinate out of range"),
        ({"bbox": [5, 5, 10**400, 3]}, "box coordinate out of range"),
        ({"bbox": [5, 5, 1e308, 3]}, "box coordinate out of range"),
        ({"category_id": 99}, "unknown category_id"),
        ({"category_id": [10]}, "unknown category_id"),
        ({"category_id": None}, "unknown category_id"),
        ({"image_id": 999}, "unknown image_id"),
        ({"image_id": None}, "unknown image_id"),
        ({"iscrowd": 2}, "iscrowd is neither 0 nor 1"),
        ({"iscrowd": "0"}, "iscrowd is neither 0 nor 1"),
    ],
)
def test_a_bad_annotation_is_left_out(values: dict[str, Any], reason: str, pets: Path) -> None:
    change_first(pets, **values)
    data = read(pets)
    assert len(data) == 20 and len(data.objects(0)) == 0 and len(data.objects(1)) == 1
    (line,) = lines(data)
    assert line.startswith(f"annotations/instances_train.json:annotations[0]: {reason} (annotation left out")
    assert data.report.balanced
    data.report.judge()


def test_infinite_numbers(pets: Path) -> None:
    text = file_of(pets).read_text()
    file_of(pets).write_text(text.replace('"bbox": [2, 3, 10, 6]', '"bbox": [2, 3, 1e999, 6]', 1))
    (line,) = lines(read(pets))
    assert "annotations[0]: box is not finite" in line


def test_entries_that_are_no_objects(pets: Path) -> None:
    edit(pets, lambda document: document["annotations"].append("cat"))
    (line,) = lines(read(pets))
    assert "annotations[20]: unknown image_id" in line


@pytest.mark.parametrize("area", [None, 0, -4, "30", 10**400])
def test_an_area_that_cannot_be_is_the_boxs(area: Any, pets: Path) -> None:
    change_first(pets, area=area)
    data = read(pets)
    assert data.areas(0).tolist() == [60] and data.areas(1).tolist() == [30]
    (line,) = lines(data)
    assert line.endswith("annotations[0]: no valid area (fixed; computed from the box)")
    data.report.judge(strict=True)


@pytest.mark.parametrize(("crowd", "ignore"), [(1, True), (0, False), (None, False), (True, True)])
def test_crowds_are_ignored(crowd: Any, ignore: bool, pets: Path) -> None:
    change_first(pets, iscrowd=crowd)
    assert read(pets).objects(0).ignore.tolist() == [ignore]


def test_no_class_matches(pets: Path) -> None:
    edit(pets, lambda document: document["categories"][0].update(id=50))
    with pytest.raises(DataError, match="20 of 20 annotations are lost"):
        open_data(pets)


def test_annotation_ids_twice(pets: Path) -> None:
    change_first(pets, id=5)
    (line,) = lines(read(pets))
    assert "annotations[5]: annotation id used twice (fixed; 5; numbered anew)" in line


def test_two_images_of_one_name(pets: Path) -> None:
    edit(pets, lambda document: document["images"][1].update(file_name="p0.png"))
    found = lines(read(pets))
    assert found == [
        "images/train/p1.png: image without annotation (noted; not used)",
        "annotations/instances_train.json: two images have one file name (noted; images/train/p0.png)",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "a/../../secret.png",
        "..\\secret.png",
        "https://example.org/a.png",
        "p0.png\0",
        "",
        17,
        None,
        "/etc/hostname",
        "C:\\secret.png",
    ],
)
def test_names_lead_nowhere_else(name: Any, pets: Path) -> None:
    save_picture(pets / "images" / "secret.png")
    save_picture(pets / "secret.png")
    edit(pets, lambda document: document["images"][0].update(file_name=name))
    data = read(pets)
    assert len(data) == 19 and data.report.balanced
    assert "file_name leads outside root, or is no name (file left out;" in "".join(lines(data))


def test_backslashes_are_folders(pets: Path) -> None:
    save_picture(pets / "images/train/deep/p0.png")
    edit(pets, lambda document: document["images"][0].update(file_name="deep\\p0.png"))
    assert read(pets).identity(0) == "images/train/deep/p0.png"


def test_missing_image(pets: Path) -> None:
    (pets / "images/train/p0.png").unlink()
    data = read(pets)
    assert lines(data) == ["p0.png: no such file or directory (file left out)"]
    assert data.report.lost_annotations == {"its image is left out": 1} and data.report.balanced


def test_sizes_come_from_the_image(pets: Path) -> None:
    def change(document: dict[str, Any]) -> None:
        del document["images"][0]["width"]
        document["images"][1].update(width=0, height=0)
        document["images"][2].update(width=40)
        document["images"][3].update(width="20")

    edit(pets, change)
    data = read(pets)
    assert {data.size(index) for index in range(4)} == {(10, 20)}
    kinds = [line.partition(": ")[2].partition(" (")[0] for line in lines(data)]
    missing, wrong = "no image size declared", "declared image size is wrong"
    assert kinds == [missing, missing, wrong, missing]


def test_swapped_sizes_stop_with_examples(pets: Path) -> None:
    edit(pets, lambda document: [image.update(width=10, height=20) for image in document["images"][:7]])
    with pytest.raises(DataError, match=r"swaps width and height of 7 images.*p0\.png.*p4\.png") as stopped:
        open_data(pets)
    assert "p5.png" not in str(stopped.value)


def test_names_composed_either_way(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "caf\u00e9")
    pictures = [Picture(composed, 20, 10, (Thing("cat", (1, 1, 5, 5)),))]
    root = write_coco(tmp_path / "pets", {"train": pictures}, ["cat"])
    folder = root / "images/train"
    (folder / f"{composed}.png").rename(folder / f"{unicodedata.normalize('NFD', composed)}.png")
    assert len(open_data(root, strict=True)) == 1


@pytest.mark.parametrize(
    ("json_path", "image_folder"),
    [
        ("annotations/instances_train2017.json", "train2017"),
        ("annotations/instances_train2017.json", "images/train2017"),
        ("annotations/instances_train.json", "images/train2017"),
        ("annotations/train.json", "images"),
        ("annotations/instances_train.json", "train"),
        ("train.json", "train"),
        ("train.json", "images"),
        ("train.json", "."),
        ("train/_annotations.coco.json", "train"),
    ],
)
def test_layouts(json_path: str, image_folder: str, tmp_path: Path) -> None:
    pictures = many(3)
    for number, picture in enumerate(pictures):
        save_picture(tmp_path / image_folder / f"{picture.stem}.png", 20, 10, number)
    save_picture(tmp_path / image_folder / "unlisted.png")
    (tmp_path / json_path).parent.mkdir(exist_ok=True)
    (tmp_path / json_path).write_text(json.dumps(coco_document(pictures, ["cat"])))
    assert splits_of(tmp_path) == ("train",)
    for path in (tmp_path, tmp_path / json_path):
        data = open_data(path)
        assert isinstance(data, ImageDataset) and len(data) == 3 and data[2].image.shape == (10, 20, 3)
        assert [fault.reason for fault in data.report.faults] == ["image without annotation"]


def test_years_keep_splits_apart(tmp_path: Path) -> None:
    (tmp_path / "annotations").mkdir()
    for stem in ("instances_train2014", "instances_train2017", "instances_val2017", "captions_val2017"):
        (tmp_path / "annotations" / f"{stem}.json").write_text("{}")
    assert splits_of(tmp_path) == ("val", "train2014", "train2017")


def test_one_file_for_all_is_divided(tmp_path: Path) -> None:
    pictures = many(60)
    for number, picture in enumerate(pictures):
        save_picture(tmp_path / "images" / f"{picture.stem}.png", 20, 10, number)
    document = coco_document(pictures, ["cat"])
    document["annotations"].append(document["annotations"][0] | {"id": 60, "image_id": 999})
    (tmp_path / "_annotations.coco.json").write_text(json.dumps(document))
    parts = {split: open_data(tmp_path, split) for split in splits_of(tmp_path)}
    assert set(parts) == {"train", "val", "test"} and sum(map(len, parts.values())) == 60
    seen = [data.report.annotations_seen for data in parts.values() if isinstance(data, ImageDataset)]
    assert sum(seen) == 61
    assert parts["val"].classes == ("cat",) and len(parts["train"]) > 38
