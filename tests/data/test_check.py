"""What `check` finds: the BCCD facts, leaks, near duplicates, and files that only decoding shows bad."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.references.datasets import Picture, Thing, many, write_coco, write_voc, write_yolo

from neocog.data.check import check
from neocog.errors import DataError


@pytest.mark.data
def test_bccd(sample_data: Callable[[str], Path]) -> None:
    calls: list[tuple[int, int]] = []
    result = check(sample_data("bccd"), progress=lambda done, total: calls.append((done, total)))
    assert result.format == "voc" and result.stopped() is None and result.stopped(strict=True) is None
    found = {s.split: (s.images, s.boxes, s.near_duplicates, s.background) for s in result.splits}
    assert found == {"train": (205, 2805, 5, 0), "val": (87, 1138, 2, 0), "test": (72, 945, 1, 0)}
    boxes = {row[0]: row[2::2] for row in result.class_rows()}
    assert boxes == {"Platelets": [209, 83, 69], "RBC": [2382, 968, 805], "WBC": [214, 87, 71]}
    images = {row[0]: sum(map(int, row[1::2])) for row in result.class_rows()}
    assert images == {"RBC": 349, "WBC": 358, "Platelets": 201}
    near = {
        line[len("JPEGImages/BloodImage_") :][:5]
        for line in result.lines()
        if "boxes of one class nearly" in line
    }
    assert near == {"00013", "00020", "00100", "00104", "00251", "00284", "00331", "00403"}
    assert result.identical == [] and result.leaks == []
    assert calls[:1] == [(1, 205)] and calls[-1] == (72, 72) and len(calls) == 364


def test_leaks_are_pairs(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "pets", {"train": many(12), "val": many(12, split="v")}, ["cat"])
    images = root / "images"
    shutil.copy(images / "train/p0.png", images / "val/v3.png")
    shutil.copy(images / "train/p1.png", images / "train/p2.png")
    result = check(root)
    assert result.leaks == [("train/images/train/p0.png", "val/images/val/v3.png")]
    assert result.identical == [("train/images/train/p1.png", "train/images/train/p2.png")]
    assert result.stopped() is None


def test_files_that_only_decoding_shows_to_be_bad(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "pets", {"train": many(12)})
    path = root / "JPEGImages/p5.png"
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 255
    path.write_bytes(bytes(data))
    (split,) = check(root).splits
    assert split.images == split.boxes == 11 and split.images_per_class == {"cat": 11}
    assert split.lines == ["JPEGImages/p5.png: damaged PNG (wrong checksum) (file left out)"]
    assert split.report["files"] == {"seen": 12, "used": 11, "lost": {"damaged PNG (wrong checksum)": 1}}
    assert split.report["annotations"]["used"] == 11
    assert split.stop is None and split.strict_stop is not None and "1 of 12 files" in split.strict_stop


def test_histograms(tmp_path: Path) -> None:
    sides = [8, 16, 20, 40, 64, 90, 96, 200]
    things = tuple(Thing("cat", (0, 0, side, side)) for side in sides)
    root = write_voc(tmp_path / "pets", {"train": [Picture("a", 200, 200, things)]})
    result = check(root)
    assert result.size_rows() == [
        ["<16 px", 1],
        ["16-32 px", 2],
        ["32-64 px", 1],
        ["64-96 px", 2],
        ["96+ px", 2],
    ]
    assert result.share_rows() == [["<5 %", 1], ["5-10 %", 1], ["10-20 %", 1], ["20-40 %", 2], ["40+ %", 3]]
    assert result.class_rows() == [["cat", 1, 8]]


def test_near_duplicates_share_a_class(tmp_path: Path) -> None:
    boxes = [("cat", (0, 0, 10, 10)), ("cat", (0, 0, 10, 7)), ("dog", (0, 0, 10, 9)), ("cat", (0, 0, 10, 6))]
    things = tuple(Thing(name, box) for name, box in boxes)
    root = write_voc(tmp_path / "pets", {"train": [Picture("a", 20, 20, things)]})
    result = check(root)
    assert result.splits[0].near_duplicates == 2  # IoU 0.7 and 6/7
    assert result.lines() == [
        "JPEGImages/a.png: boxes of one class nearly equal (noted; boxes 1 and 2)",
        "JPEGImages/a.png: boxes of one class nearly equal (noted; boxes 2 and 4)",
    ]


def test_what_would_stop_training_is_told_and_not_raised(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", {"train": many(5), "val": many(5)}, ["cat"])
    (root / "annotations/instances_val.json").write_text("[")
    (root / "images/train/p0.png").write_bytes(b"")
    result = check(root)
    train, val = result.splits
    assert train.stop is not None and "1 of 5 files" in train.stop and train.images == 4
    assert val.stop is not None and "not JSON" in val.stop and val.images == 0
    assert result.stopped() == train.stop


def test_splits_with_different_classes_stop(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", {"train": many(3), "val": many(3)}, ["cat", "dog"])
    path = root / "annotations/instances_val.json"
    path.write_text(path.read_text().replace('"dog"', '"emu"'))
    stop = check(root).stopped()
    assert stop is not None and stop.endswith("different classes (train: cat, dog; val: cat, emu)")


def test_it_goes_into_json(tmp_path: Path) -> None:
    result = check(write_voc(tmp_path / "pets", {"train": many(3), "val": many(2)}))
    found = json.loads(json.dumps(result.to_dict()))
    assert found["splits"]["train"]["boxes_per_class"] == {"cat": 3}
    assert found["splits"]["val"]["images"] == 2 and found["stop"] is None
    assert found["leaks"] == [[f"train/JPEGImages/p{n}.png", f"val/JPEGImages/p{n}.png"] for n in range(2)]


def test_generated_data_need_no_check() -> None:
    with pytest.raises(DataError, match="scenes:std: generated data need no check"):
        check("scenes:std")


def lists(root: Path, **entries: range) -> Path:
    """VOC data of twenty pictures with lists of them."""
    write_voc(root, {"train": many(20)})
    for split, numbers in entries.items():
        (root / f"ImageSets/Main/{split}.txt").write_text("".join(f"p{number}\n" for number in numbers))
    return root


def test_trainval_is_checked_unless_train_and_val_cover_it(tmp_path: Path) -> None:
    alone = lists(tmp_path / "a", train=range(10), trainval=range(15), test=range(15, 20))
    result = check(alone)
    assert {s.split: s.images for s in result.splits} == {"train": 10, "trainval": 15, "test": 5}
    assert result.leaks == [] and result.flags() == " --val-split none"
    covered = lists(tmp_path / "b", train=range(10), val=range(10, 15), trainval=range(15))
    assert [s.split for s in check(covered).splits] == ["train", "val"]
    more = lists(tmp_path / "c", train=range(10), val=range(10, 15), trainval=range(16))
    assert [s.split for s in check(more).splits] == ["train", "val", "trainval"]
    leak = lists(tmp_path / "d", train=range(10), val=range(9, 15), test=range(1))
    assert [pair[1].partition("/")[0] for pair in check(leak).leaks] == ["test", "val"]


def test_a_picture_that_only_trainval_has_bad(tmp_path: Path) -> None:
    root = lists(tmp_path / "a", train=range(10), trainval=range(20))
    (root / "JPEGImages/p19.png").write_bytes(b"")
    assert "JPEGImages/p19.png: empty file (file left out)" in check(root).lines()


def test_nothing_to_train_on_stops(tmp_path: Path) -> None:
    result = check(write_voc(tmp_path / "pets", {"test": many(3)}))
    assert result.stop == f"{tmp_path / 'pets'}: no split to train on (there are: test)"


def test_a_split_that_lies_nowhere_stops(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "pets", {"train": many(3), "val": many(3)}, ["cat"])
    config = root / "data.yaml"
    config.write_text(config.read_text().replace("val: images/val", "val: images/vall"))
    stop = check(root).stopped()
    assert stop is not None and "data.yaml: val: no such folder or list: images/vall" in stop


def test_flags_that_training_needs(tmp_path: Path) -> None:
    world = {"train": many(3), "val": many(3), "trainval": many(3), "test": many(3)}
    flags = {
        "train val": "",
        "train": " --val-split none",
        "trainval test": " --train-split trainval --val-split none",
    }
    for names, flag in flags.items():
        root = write_yolo(tmp_path / names, {name: world[name] for name in names.split()}, ["cat"])
        assert check(root).flags() == flag and check(root).stopped() is None
