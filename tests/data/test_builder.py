"""Duplicates, areas, sizes and books, whatever the format."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.references.datasets import save_picture

from neocog.data.builder import Builder
from neocog.data.records import ImageDataset
from neocog.data.report import Report
from neocog.errors import DataError


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    for number in range(3):
        save_picture(tmp_path / f"{number}.png", 20, 10, number)
    return Builder(tmp_path, ["cat", "dog"], Report("test"), "object {}")


def finish(builder: Builder) -> ImageDataset:
    return ImageDataset(builder.root, "test", "train", builder.classes, builder.build(), builder.report)


def reasons(builder: Builder) -> dict[str, str]:
    return {fault.reason: fault.outcome.name for fault in builder.report.faults}


def test_exact_duplicates_are_removed_and_the_first_stays(builder: Builder) -> None:
    builder.image("0.png")
    for number, (box, label, ignore) in enumerate(
        [((1, 1, 5, 5), 0, False)] * 3 + [((1, 1, 5, 5), 0, True), ((1, 1, 5, 6), 0, False)], 1
    ):
        builder.add(number, box, label, ignore, area=number)
    builder.image("1.png")
    builder.add(1, (1, 1, 5, 5), 0)
    data = finish(builder)
    assert [len(data.objects(index)) for index in range(2)] == [3, 1]
    assert data.areas(0).tolist() == [1, 4, 5]
    assert data.report.balanced and data.report.annotations_merged == 2
    assert [fault.record for fault in data.report.faults] == ["object 2", "object 3"]
    data.report.judge(strict=True)


def test_one_box_with_two_classes_is_only_noted(builder: Builder) -> None:
    builder.image("0.png")
    builder.add(1, (1, 1, 5, 5), 0)
    builder.add(2, (1, 1, 5, 5), 1)
    assert len(finish(builder).objects(0)) == 2
    assert reasons(builder) == {"same box under two classes": "NOTED"}


def test_areas_are_the_boxes_own_where_none_is_stated(builder: Builder) -> None:
    builder.image("0.png")
    builder.add(1, (1, 1, 5, 4), 0)
    builder.add(2, (1, 1, 6, 4), 0, area=7.5)
    assert finish(builder).areas(0).tolist() == [12, 7.5]


def test_annotations_of_a_lost_image_are_lost_with_it(builder: Builder) -> None:
    (builder.root / "1.png").write_bytes(b"")
    builder.image("0.png")
    builder.add(1, (1, 1, 5, 4), 0)
    assert builder.image("1.png") is None
    builder.add(1, (1, 1, 5, 4), 1)
    builder.drop(2, "unknown class")
    builder.image("2.png")
    builder.add(1, (1, 1, 5, 4), 0)
    data = finish(builder)
    assert [data.identity(index) for index in range(len(data))] == ["0.png", "2.png"]
    assert data.report.balanced
    assert data.report.lost_files == {"empty file": 1}
    assert data.report.lost_annotations == {"its image is left out": 2}
    with pytest.raises(DataError, match="1 of 3 files and 2 of 4 annotations are lost, more than 10%"):
        data.report.judge()


def test_declared_sizes(builder: Builder) -> None:
    builder.image("0.png", "0.xml", declared=(20, 10))
    assert not builder.report.faults
    builder.image("0.png", "0.xml", declared=(10, 20))
    builder.image("1.png", "1.xml", declared=(0, 0))
    builder.image("2.png", "2.xml", declared=(40, 20))
    assert builder.swapped == ["0.png"]
    assert [fault.line for fault in builder.report.faults] == [
        "0.xml: declared width and height are swapped (noted; the image is 20x10)",
        "1.xml: no image size declared (noted; the image is 20x10)",
        "2.xml: declared image size is wrong (noted; the image is 20x10)",
    ]


def test_links_out_of_the_data_set_are_noted(
    builder: Builder, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = save_picture(tmp_path_factory.mktemp("elsewhere") / "a.png")
    (builder.root / "link.png").symlink_to(outside)
    (builder.root / "inner.png").symlink_to("0.png")
    assert builder.image("link.png") and builder.image("inner.png")
    assert [fault.line for fault in builder.report.faults] == ["link.png: link out of the data set (noted)"]


def test_the_data_set(builder: Builder) -> None:
    builder.image("0.png")
    builder.add(1, (1, 1, 5, 4), 1, True)
    builder.image("1.png")
    data = finish(builder)
    sample = data[0]
    assert sample.image.shape == (10, 20, 3) and sample.frame.original == data.size(0) == (10, 20)
    assert sample.frame.source == str(data.path(0))
    assert sample.target is not None and sample.target.boxes.tolist() == [[1, 1, 5, 4]]
    assert sample.target.labels.tolist() == [1] and sample.target.ignore.tolist() == [True]
    assert len(data.objects(1)) == len(data.objects(-1)) == 0
    assert len(list(data)) == 2
    with pytest.raises(IndexError):
        data.size(2)


def test_objects_are_copies(builder: Builder) -> None:
    builder.image("0.png")
    builder.add(1, (1, 1, 5, 4), 1)
    data = finish(builder)
    data.objects(0).boxes.zero_()
    assert data.objects(0).boxes.tolist() == [[1, 1, 5, 4]]


def test_a_file_that_changes_its_size_is_named(builder: Builder) -> None:
    builder.image("0.png")
    data = finish(builder)
    save_picture(builder.root / "0.png", 21, 10)
    with pytest.raises(DataError, match=r"0.png: size changed from 20x10 to 21x10"):
        data[0]
    (builder.root / "0.png").unlink()
    with pytest.raises(DataError, match=r"0.png: no such file"):
        data[0]


def test_the_fingerprint_follows_the_truth(tmp_path: Path) -> None:
    def fingerprint(
        name: str = "0.png", box: tuple[float, ...] = (1, 1, 5, 4), label: int = 0, classes: str = "ab"
    ) -> str:
        builder = Builder(tmp_path, classes, Report(), "object {}")
        builder.image(name)
        builder.add(1, box, label)
        return finish(builder).fingerprint

    for number in range(2):
        save_picture(tmp_path / f"{number}.png", 20, 10, number)
    save_picture(tmp_path / "big.png", 30, 10)
    first = fingerprint()
    assert first == fingerprint() and len(first) == 64
    changed = [fingerprint("1.png"), fingerprint("big.png"), fingerprint(box=(1, 1, 5, 4.5))]
    changed += [fingerprint(label=1), fingerprint(classes="ac")]
    assert len({first, *changed}) == 6


def test_it_pickles_small_and_whole(builder: Builder) -> None:
    for number in range(3):
        builder.image(f"{number}.png")
        builder.report.note(f"{number}.png", "", "x" * 10_000)
    data = finish(builder)
    packed = pickle.dumps(data)
    assert len(packed) < 5000
    copy = pickle.loads(packed)  # noqa: S301
    assert copy.fingerprint == data.fingerprint and len(data.report.faults) == 3
    np.testing.assert_array_equal(copy[2].image, data[2].image)
