"""Writing data sets: what is read back is what was written, in every format, pictures byte for byte."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from neocog.data.open import find_format, open_data, splits_of
from neocog.data.records import ImageDataset
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.errors import DataError, UsageError
from neocog.types import Objects, Sample, Task

FORMATS = ("voc", "coco", "yolo")
CLASSES = ("zebra", "ant & bee", "Köder")  # not in alphabetical order


class Pictures:
    """A data set of files, with whatever objects a test needs."""

    name, format, split, fingerprint, task = "pictures", "test", "train", "", Task.DETECT

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        objects: Sequence[Objects],
        classes: tuple[str, ...] = CLASSES,
        size: tuple[int, int] = (40, 60),
    ) -> None:
        self.root, self.names, self.truth, self.classes = root, names, objects, classes
        self._size = size
        for number, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            if not (root / name).exists():
                Image.new("RGB", size[::-1], (number, 90, 160)).save(root / name)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        raise AssertionError("a file is copied, not decoded")

    def identity(self, index: int) -> str:
        return self.names[index]

    def path(self, index: int) -> Path:
        return self.root / self.names[index]

    def size(self, index: int) -> tuple[int, int]:
        return self._size

    def objects(self, index: int) -> Objects:
        return self.truth[index]


def things(boxes: Sequence[Sequence[float]], labels: Sequence[int], ignore: Sequence[int] = ()) -> Objects:
    marks = torch.tensor(ignore or [0] * len(labels), dtype=torch.bool)
    return Objects(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        marks,
    )


SOME = things([[1, 2, 30, 40], [0, 0, 60, 40], [10.25, 3.0625, 20.5, 9.3337]], [2, 0, 1])
NONE = Objects.empty()


@pytest.mark.parametrize("format", FORMATS)
def test_pictures_and_objects_come_back(format: str, tmp_path: Path) -> None:
    train = Pictures(tmp_path / "from", ["a.png", "b.jpg", "c.d.bmp"], [SOME, NONE, SOME])
    test = Pictures(tmp_path / "from", ["e.png"], [NONE])
    seen: list[tuple[int, int]] = []
    written = write_dataset(
        {"train": train, "test": test}, tmp_path / "new" / "to", format, lambda a, b: seen.append((a, b))
    )
    assert (written.images, written.boxes, written.left_out) == (4, 6, 0)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert find_format(tmp_path / "new" / "to") == format
    assert splits_of(tmp_path / "new" / "to") == ("train", "test")
    for split, data in (("train", train), ("test", test)):
        again = open_data(tmp_path / "new" / "to", split, strict=True)
        assert again.classes == CLASSES and len(again) == len(data)
        for index, name in enumerate(data.names):
            assert Path(again.identity(index)).name == name
            copy = (tmp_path / "new" / "to" / again.identity(index)).read_bytes()
            assert copy == data.path(index).read_bytes()
            assert again.size(index) == (40, 60)
            same(again.objects(index), data.truth[index])


def same(one: Objects, other: Objects) -> None:
    assert torch.allclose(one.boxes, other.boxes, rtol=0, atol=1e-3)
    assert one.labels.tolist() == other.labels.tolist()
    assert one.ignore.tolist() == other.ignore.tolist()


@pytest.mark.parametrize("format", FORMATS)
def test_generated_scenes_become_png(format: str, tmp_path: Path) -> None:
    data = {split: Scenes("hard", split, count=4) for split in ("train", "val")}
    written = write_dataset(data, tmp_path, format)
    assert written.images == 8
    for split, source in data.items():
        again = open_data(tmp_path, split, strict=True)
        assert again.classes == source.classes
        for index in range(4):
            assert Path(again.identity(index)).name == f"hard_{split}_{index}.png"
            assert (again[index].image == source[index].image).all()
            assert torch.equal(again.objects(index).boxes, source.objects(index).boxes)
            same(again.objects(index), source.objects(index))


def spans(length: int) -> st.SearchStrategy[list[float]]:
    """Two different edges, on a grid of 1/96 px that no decimal fraction hits."""
    edges = st.lists(st.integers(0, 96 * length), min_size=2, max_size=2, unique=True)
    return edges.map(lambda pair: [edge / 96 for edge in sorted(pair)])


THING = st.tuples(spans(4000), spans(3000), st.integers(0, 2))


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=15, deadline=None)
@given(drawn=st.lists(THING, max_size=12, unique_by=repr))  # readers merge what is exactly equal
def test_any_box_comes_back_within_a_thousandth_of_a_pixel(
    format: str, drawn: list[tuple[list[float], list[float], int]]
) -> None:
    objects = things([(x0, y0, x1, y1) for (x0, x1), (y0, y1), _ in drawn], [label for *_, label in drawn])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "from").mkdir()
        Image.new("1", (4000, 3000)).save(root / "from" / "large.png")
        data = Pictures(root / "from", ["large.png"], [objects], size=(3000, 4000))
        write_dataset({"train": data}, root / "to", format)
        same(open_data(root / "to", "train").objects(0), objects)


def test_voc_boxes_are_one_based_and_whole_where_they_can_be(tmp_path: Path) -> None:
    write_dataset({"train": Pictures(tmp_path / "from", ["a.png"], [SOME])}, tmp_path / "to", "voc")
    text = (tmp_path / "to" / "Annotations" / "a.xml").read_text(encoding="utf-8")
    for line in ("<xmin>2</xmin>", "<ymin>3</ymin>", "<xmax>30</xmax>", "<ymax>40</ymax>"):
        assert line in text
    for line in ("<xmin>11.25</xmin>", "<ymin>4.062</ymin>", "<xmax>20.5</xmax>", "<ymax>9.334</ymax>"):
        assert line in text
    assert "<name>ant &amp; bee</name>" in text and "<width>60</width>" in text
    assert (tmp_path / "to" / "classes.txt").read_text(encoding="utf-8").split("\n") == [*CLASSES, ""]


def test_pycocotools_reads_what_is_written(tmp_path: Path) -> None:
    data = Pictures(tmp_path / "from", ["a.png", "b.png"], [things([[1, 2, 4, 6.5]], [1], [1]), NONE])
    write_dataset({"val": data}, tmp_path / "to", "coco")
    coco = COCO(str(tmp_path / "to" / "annotations" / "instances_val.json"))
    assert [category["name"] for category in coco.loadCats([1, 2, 3])] == list(CLASSES)
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["a.png", "b.png"]
    (annotation,) = coco.loadAnns(coco.getAnnIds())
    assert annotation["bbox"] == [1, 2, 3, 4.5] and annotation["area"] == 13.5
    assert (annotation["iscrowd"], annotation["category_id"], annotation["image_id"]) == (1, 2, 1)


@pytest.mark.parametrize(("format", "kept"), [("voc", 2), ("coco", 2), ("yolo", 1)])
def test_ignored_objects_are_marked_or_counted(format: str, kept: int, tmp_path: Path) -> None:
    truth = things([[1, 2, 4, 6], [5, 5, 9, 9]], [0, 1], [1, 0])
    written = write_dataset(
        {"train": Pictures(tmp_path / "from", ["a.png"], [truth])}, tmp_path / "to", format
    )
    assert (written.boxes, written.left_out) == (kept, 2 - kept)
    again = open_data(tmp_path / "to", "train").objects(0)
    assert again.ignore.tolist() == [True, False][-kept:]


@pytest.mark.parametrize("format", FORMATS)
def test_equal_names_of_different_folders_stay_apart(format: str, tmp_path: Path) -> None:
    names = ["one/a.png", "two/a.png", "two/A.PNG", "two/a.bmp", "two_a.png", "b.png", "b.png"]
    truth = [things([[number, 0, number + 5, 5]], [0]) for number in range(len(names))]
    data = Pictures(tmp_path / "from", names, truth)
    write_dataset({"train": data}, tmp_path / "to", format)
    again = open_data(tmp_path / "to", "train", strict=True)
    found = {int(again.objects(index).boxes[0, 0]): index for index in range(len(again))}
    assert sorted(found) == list(range(len(names)))
    for number, index in found.items():
        copy = (tmp_path / "to" / again.identity(index)).read_bytes()
        assert copy == data.path(number).read_bytes()
    stems = {Path(again.identity(index)).stem.casefold() for index in range(len(again))}
    assert len(stems) == len(names) and "two_a" in stems


@pytest.mark.parametrize("format", FORMATS)
def test_odd_names_become_names_that_every_reader_finds(format: str, tmp_path: Path) -> None:
    names = ["with space 1.png", "x:y.png", "tab\there.png", "e\u0301t\u00e9.png", "n.jpg.png", ".hidden.png"]
    truth = [things([[number, 0, number + 5, 5]], [0]) for number in range(len(names))]
    write_dataset({"train": Pictures(tmp_path / "from", names, truth)}, tmp_path / "to", format)
    again = open_data(tmp_path / "to", "train", strict=True)
    assert sorted(int(again.objects(i).boxes[0, 0]) for i in range(len(again))) == list(range(len(names)))


def test_splits_that_share_a_picture_share_the_file_in_voc(tmp_path: Path) -> None:
    train = Pictures(tmp_path / "from", ["a.png", "b.png"], [SOME, NONE])
    both = Pictures(tmp_path / "from", ["a.png", "b.png", "c.png"], [SOME, NONE, SOME])
    write_dataset({"train": train, "trainval": both}, tmp_path / "to", "voc")
    assert sorted(p.name for p in (tmp_path / "to" / "JPEGImages").iterdir()) == ["a.png", "b.png", "c.png"]
    assert len(open_data(tmp_path / "to", "trainval", strict=True)) == 3


@pytest.mark.parametrize("format", FORMATS)
def test_a_picture_that_exif_turns_keeps_its_boxes(format: str, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 40, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 40 wide and 60 high, shown 60 wide and 40 high
    picture.save(tmp_path / "from" / "turned.jpg", exif=exif)
    data = Pictures(tmp_path / "from", ["turned.jpg"], [things([[45, 1, 59, 9]], [1])])
    write_dataset({"train": data}, tmp_path / "to", format)
    again = open_data(tmp_path / "to", "train", strict=True)
    assert again[0].image.shape == (40, 60, 3) and again.size(0) == (40, 60)
    same(again.objects(0), data.truth[0])
    if format == "coco":
        (image,) = json.loads((tmp_path / "to/annotations/instances_train.json").read_text())["images"]
        assert (image["width"], image["height"]) == (60, 40)


def test_a_picture_without_a_known_suffix_gets_one(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    Image.new("RGB", (60, 40)).save(tmp_path / "from" / "0001", "JPEG")
    write_dataset({"train": Pictures(tmp_path / "from", ["0001"], [SOME])}, tmp_path / "to", "yolo")
    assert open_data(tmp_path / "to", "train").identity(0) == "images/train/0001.jpg"


@pytest.mark.parametrize(
    ("split", "refused"), [("trainval", ()), ("night", ("yolo",)), ("my_train", ("yolo", "voc"))]
)
def test_every_split_comes_back_or_is_refused(split: str, refused: tuple[str, ...], tmp_path: Path) -> None:
    things = [Objects.empty()] * 2
    splits = {n: Pictures(tmp_path / n, ["a.png", "b.png"], things) for n in ("train", split)}
    for kind in FORMATS:
        if kind in refused:
            with pytest.raises(DataError, match=rf"^split '{split}': .*\(rename it, or write "):
                write_dataset(splits, tmp_path / kind, kind)
        else:
            write_dataset(splits, tmp_path / kind, kind)
            assert set(splits_of(tmp_path / kind)) == {"train", split}


@pytest.mark.parametrize("format", FORMATS)
def test_pictures_that_do_not_decode_are_left_out(format: str, tmp_path: Path) -> None:
    write_dataset({"train": Scenes("std", "train", count=40, size=32)}, tmp_path / "from", "voc")
    source = open_data(tmp_path / "from")
    assert isinstance(source, ImageDataset)
    path = source.path(5)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 255
    path.write_bytes(bytes(data))
    written = write_dataset({"train": source}, tmp_path / format, format)
    assert (written.images, written.splits) == (39, {"train": 39})
    assert "damaged PNG (wrong checksum) (file left out)" in source.report.lines()[-1]
    assert len(open_data(tmp_path / format, strict=True)) == 39
    with pytest.raises(DataError, match="strict reading allows none"):
        write_dataset({"train": open_data(tmp_path / "from")}, tmp_path / "no", format, strict=True)
    assert not (tmp_path / "no").exists()


def test_unusable_targets_and_formats_are_refused(tmp_path: Path) -> None:
    data = {"train": Pictures(tmp_path / "from", ["a.png"], [SOME])}
    (tmp_path / "file").write_text("mine")
    for target in (tmp_path / "from", tmp_path / "file"):
        with pytest.raises(UsageError, match=str(target)):
            write_dataset(data, target, "voc")
    with pytest.raises(UsageError, match="did you mean 'coco'"):
        write_dataset(data, tmp_path / "to", "cocoo")
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in (tmp_path / "from").iterdir()] == ["a.png"]
    assert not (tmp_path / "to").exists()


def test_splits_of_different_classes_are_refused(tmp_path: Path) -> None:
    train = Pictures(tmp_path / "from", ["a.png"], [SOME])
    test = Pictures(tmp_path / "from", ["a.png"], [SOME], classes=("zebra",))
    with pytest.raises(DataError, match="one list of classes"):
        write_dataset({"train": train, "test": test}, tmp_path / "to", "coco")


@pytest.mark.parametrize("name", ["", " padded", "two\nlines"])
def test_voc_refuses_names_that_it_cannot_hold(name: str, tmp_path: Path) -> None:
    data = Pictures(tmp_path / "from", ["a.png"], [NONE], classes=(name, "fine"))
    with pytest.raises(DataError, match="rename"):
        write_dataset({"train": data}, tmp_path / "to", "voc")
    assert not (tmp_path / "to").exists()


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    data = Pictures(tmp_path / "from", ["a.png"], [NONE])
    (tmp_path / "from" / "a.png").unlink()
    with pytest.raises(DataError, match=r"a\.png"):
        write_dataset({"train": data}, tmp_path / "to", "voc")


@pytest.mark.data
@pytest.mark.parametrize("format", FORMATS)
def test_blood_cells_survive_every_format(
    format: str, sample_data: Callable[[str], Path], tmp_path: Path
) -> None:
    root = sample_data("bccd")
    data = {split: open_data(root, split) for split in splits_of(root) if split != "trainval"}
    written = write_dataset(data, tmp_path, format)
    assert written.images == sum(map(len, data.values()))
    for split, source in data.items():
        again = open_data(tmp_path, split, strict=True)
        assert again.classes == source.classes
        there = {Path(again.identity(index)).name: index for index in range(len(again))}
        for index in range(len(source)):
            same(again.objects(there[Path(source.identity(index)).name]), source.objects(index))
