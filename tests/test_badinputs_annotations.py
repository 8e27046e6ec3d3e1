"""Bad annotations, from the catalogue: each has its one line, the rest is used, and nothing is written."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from tests.badinputs import (
    BadInput,
    Command,
    Expected,
    Ground,
    base,
    drive,
    ground,
    judge,
    model,
    plant,
    tree_hash,
    words_for,
)
from tests.badinputs import boxes as bad_boxes
from tests.badinputs import coco as bad_coco
from tests.badinputs import voc as bad_voc
from tests.badinputs.edits import read_text, write_text
from tests.references.datasets import many, write_coco, write_voc, write_yolo

from neocog.data.open import open_data, read_split
from neocog.data.records import ImageDataset
from neocog.data.yolo import parse_line
from neocog.errors import DataError
from neocog.metrics.coco import coco_average_precision
from neocog.types import Detections

FORMATS = ("voc", "coco", "yolo")
TOGETHER = (*bad_boxes.TOGETHER, *bad_coco.TOGETHER, *bad_voc.TOGETHER)
ALONE = (*bad_boxes.ALONE, *bad_coco.STOPS, *bad_coco.ALONE, *bad_voc.ALONE)


def read(root: Path, format: str) -> ImageDataset:
    """The training split, not judged."""
    return read_split(root, format, "train")


def told(data: ImageDataset) -> list[str]:
    return [fault.line for fault in data.report.faults]


def test_every_item_has_a_name_of_its_own() -> None:
    names = [item.id for item in (*TOGETHER, *ALONE)]
    assert len(set(names)) == len(names) > 120


@pytest.mark.parametrize("format", FORMATS)
def test_the_rest_is_used(format: str, tmp_path: Path) -> None:
    """Every fault of one file or record, all in one data set."""
    spot = ground(tmp_path / "data", format, train=160)
    planted = plant(spot, [item for item in TOGETHER if item.format == format])
    for command in ("load", "check", "train", "evaluate"):
        judge(planted, command, spot, tmp_path / command)  # type: ignore[arg-type]


TRAINED = {"40-backgrounds", "40-crowd"}
"""Of the items that may be trained on, those whose training is a promise of its own."""


def whole(item: BadInput, commands: Sequence[Command], folder: Path) -> None:
    spot = ground(folder / "data", item.format)
    planted = plant(spot, [item])
    for command in commands:
        judge(planted, command, spot, folder / command)


@pytest.mark.parametrize("item", ALONE, ids=lambda item: item.id)
def test_what_concerns_the_whole(item: BadInput, tmp_path: Path) -> None:
    every = item.expected is Expected.STOP or item.id in TRAINED
    whole(item, item.commands if every else ("load", "check"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "item", [item for item in ALONE if item.expected is not Expected.STOP], ids=lambda item: item.id
)
def test_what_concerns_the_whole_in_every_command(item: BadInput, tmp_path: Path) -> None:
    whole(item, item.commands, tmp_path)


def lock(root: Path, mode: int) -> None:
    """Take the right to write from a folder and all below it; a mode of 0o200 gives it back."""
    for path in (root, *root.rglob("*")):
        now = path.stat().st_mode
        path.chmod(now | mode if mode == 0o200 else now & ~0o222)


@pytest.mark.parametrize("format", FORMATS)
def test_no_command_writes_to_the_data(format: str, tmp_path: Path) -> None:
    """A data set that may not be written to (where the user is bound by that) is used as any other."""
    spot = ground(tmp_path / "data", format)
    lock(spot.root, 0)
    before = tree_hash(spot.root)
    try:
        for command in ("check", "train", "evaluate", "predict"):
            (tmp_path / command).mkdir()
            answer = drive(words_for(command, spot, tmp_path / command))  # type: ignore[arg-type]
            assert answer.code == 0, answer
        for other in FORMATS:
            answer = drive(["data", "convert", str(spot.root), str(tmp_path / other), "--format", other])
            assert answer.code == 0, answer
        assert tree_hash(spot.root) == before
    finally:
        lock(spot.root, 0o200)


def test_39_an_edit_of_the_same_length_is_noticed(tmp_path: Path) -> None:
    """Nothing of a data set is kept between two commands, so nothing can be stale."""
    spot = ground(tmp_path / "data", "yolo")
    path = next(p for p in map(spot.annotation, spot.pictures) if read_text(p).startswith("0 "))
    counts, prints = [], []
    status = path.stat()
    for label in "01":
        write_text(path, label + read_text(path)[1:])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        answer = drive(["data", "check", str(spot.root), "--json", str(tmp_path / "check.json")])
        counts.append(json.loads((tmp_path / "check.json").read_text())["splits"]["train"]["boxes_per_class"])
        prints.append(open_data(spot.root).fingerprint)
        assert answer.code == 0 and path.stat().st_size == status.st_size
    assert prints[0] != prints[1]
    assert (counts[0]["disc"] - counts[1]["disc"], counts[1]["square"] - counts[0]["square"]) == (1, 1)


def test_41_a_file_beyond_the_limit_is_refused_unread(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", {"train": many(3)}, ["cat"])
    os.truncate(root / "annotations/instances_train.json", 2 << 30)
    began = time.perf_counter()
    with pytest.raises(DataError, match=r"instances_train\.json: 2048 MiB > 1024 MiB limit"):
        open_data(root)
    assert time.perf_counter() - began < 1


@pytest.mark.slow
def test_41_memory_is_bounded(tmp_path: Path) -> None:
    """A file of 48 MiB takes at most eight times its size."""
    resource = pytest.importorskip("resource")
    root = write_coco(tmp_path / "pets", {"train": many(3)}, ["cat"])
    path = root / "annotations/instances_train.json"
    document = json.loads(path.read_text())
    entry = json.dumps({**document["annotations"][0], "segmentation": [[1.5, 2.5] * 8]})
    text = json.dumps(document)
    head, tail = text.split('], "categories"')
    path.write_text(head + f", {entry}" * ((48 << 20) // len(entry)) + '], "categories"' + tail)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read(root, "coco")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert 0 < grown <= 8 * path.stat().st_size


def test_45_perfect_detections_of_ids_from_zero_score_one(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "pets", {"train": many(6) + many(6, 6, name="dog")}, ["cat", "dog"])
    document = json.loads((root / "annotations/instances_train.json").read_text())
    assert document["images"][0]["id"] == document["annotations"][0]["id"] == 0
    data = read(root, "coco")
    truths = [data.objects(index) for index in range(len(data))]
    found = [Detections(t.boxes, torch.ones(len(t)), t.labels) for t in truths]
    result = coco_average_precision(truths, found, data.classes, [data.areas(i) for i in range(len(data))])
    assert result.coco_ap == pytest.approx(1.0, abs=1e-12)


WATCHED = ("socket.", "urllib.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn")
_events: list[tuple[str, object]] | None = None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if _events is not None and (event == "open" or event.startswith(WATCHED)):
        _events.append((event, arguments[0] if arguments else None))


@pytest.mark.parametrize("id", ["53-bomb", "53-utf16", "53-external", "53-remote", "53-ebcdic", "50-url"])
def test_53_nothing_else_is_opened_and_nothing_is_fetched(id: str, tmp_path: Path) -> None:
    global _events
    item = next(item for item in TOGETHER if item.id == id)
    spot = ground(tmp_path / "data", item.format)
    plant(spot, [item])
    read(spot.root, item.format)
    sys.addaudithook(_hook)
    _events = []
    try:
        began = time.perf_counter()
        read(spot.root, item.format)
        taken = time.perf_counter() - began
        events = _events
    finally:
        _events = None
    opened = [
        Path(os.fsdecode(name)) for event, name in events if event == "open" and not isinstance(name, int)
    ]
    assert opened and all(path.is_relative_to(spot.root) for path in opened)
    assert [event for event, _ in events if event != "open"] == []
    assert taken < 2  # 48 pictures and one bomb


def test_53_a_bomb_takes_no_time(tmp_path: Path) -> None:
    from neocog.data.voc_xml import load

    path = tmp_path / "bomb.xml"
    path.write_text(bad_voc.BOMB)
    began = time.perf_counter()
    assert isinstance(load(path), DataError)
    assert time.perf_counter() - began < 0.05


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("names: !!int ''", r"not YAML \(IndexError\)"),
        ("names: [!!bool maybe]", r"not YAML \(KeyError\)"),
        ("names: [!!timestamp soon]", r"not YAML \(AttributeError\)"),
        ("names: !!map [a]", r"not YAML \(TypeError\)|:line 1: "),
        ("names: [a]\nnc: 0x" + "f" * 5000, r"nc is 1000000000, but there are 1 names"),
        ("names: [0x" + "f" * 5000 + "]", r"names\[0\] is no text"),
        ('names: ["\\ud800"]', r"names\[0\] is no text"),
        ('names: ["a\\e[31m"]', r"names\[0\] is no text"),
        ("a: &a {x: 1}\nnames: {<<: [*a, *a]}", r":line 2: merge key '<<' not allowed"),
        (f"names: [a]\ntrain: [images/train, {'x' * 300}]", "no such folder or list: xxx"),
        (f"names: [a]\ntrain: {'x/' * 3000}", "images"),
        ('names: [a]\ntrain: "a\\0b"', "train is no path"),
    ],
)
def test_a_config_of_every_kind_of_nonsense(text: str, reason: str, tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "pets", {"train": many(12)}, ["cat"])
    (root / "data.yaml").write_text(text)
    try:
        data = read(root, "yolo")
    except DataError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
        message = str(error)
    else:
        message = " ".join(data.identity(index) for index in range(len(data)))
    assert re.search(reason, message), message


def test_a_list_of_every_kind_of_nonsense(tmp_path: Path) -> None:
    """Entries that are no pictures are left out one by one."""
    root = write_yolo(tmp_path / "pets", {"train": many(12)}, ["cat"])
    good = [f"images/train/p{number}.png" for number in range(12)]
    odd = [
        ".",
        "/",
        "..",
        "a\0b.png",
        "x" * 300 + ".png",
        "deep/" * 1000 + "a.png",
        "images/train",
        "\ud7ff.png",
    ]
    (root / "train.txt").write_text("\n".join([*good, *odd]))
    (root / "data.yaml").write_text("train: train.txt\nnames: [cat]\n")
    data = read(root, "yolo")
    assert len(data) == 12 and data.report.balanced and sum(data.report.lost_files.values()) == len(odd)
    assert all(line.isprintable() and len(line) <= 1100 for line in told(data))


def test_lists_that_share_a_folder_of_labels_are_silent(tmp_path: Path) -> None:
    """What one list leaves to another is neither unused nor without image."""
    root = write_yolo(tmp_path / "pets", {"train": many(8)}, ["cat"])
    for split, numbers in (("train", range(5)), ("val", range(5, 8))):
        (root / f"{split}.txt").write_text("".join(f"./images/train/p{number}.png\n" for number in numbers))
    (root / "data.yaml").write_text("train: train.txt\nval: val.txt\nnames: [cat]\n")
    assert told(read(root, "yolo")) == []
    (root / "val.txt").write_text("images/train/p5.png\n")
    assert told(read(root, "yolo")) == [
        f"images/train/p{number}.png: image in no split (noted; not used)" for number in (6, 7)
    ]


@pytest.mark.parametrize("format", FORMATS)
def test_data_without_any_class_stop(format: str, tmp_path: Path) -> None:
    writers = {
        "voc": write_voc,
        "coco": lambda r, w: write_coco(r, w, []),
        "yolo": lambda r, w: write_yolo(r, w, []),
    }
    world = {"train": [type(p)(p.stem, p.width, p.height) for p in many(4)]}
    root = writers[format](tmp_path / "pets", world)  # type: ignore[operator]
    if format == "yolo":
        (root / "data.yaml").unlink()
    with pytest.raises(DataError, match="no classes: no annotation names any"):
        open_data(root)


def seconds(root: Path, format: str) -> float:
    began = time.perf_counter()
    with suppress(DataError):
        read(root, format)
    return time.perf_counter() - began


def test_time_grows_with_the_size_of_a_file_and_not_with_its_square(tmp_path: Path) -> None:
    """Each of these took minutes while a list was searched for every entry."""
    root = write_coco(tmp_path / "coco", {"train": many(3)}, ["cat"])
    path = root / "annotations/instances_train.json"
    good = path.read_text()
    path.write_text("{" + "".join(f'"k{n}": 0, ' for n in range(150_000)) + '"x": 0, "x": 0}')
    assert seconds(root, "coco") < 5
    categories = [{"id": n, "name": f"c{n}"} for n in range(60_000)]
    path.write_text(json.dumps(json.loads(good) | {"categories": categories}))
    assert seconds(root, "coco") < 5
    root = write_voc(tmp_path / "voc", {"train": many(2)})
    item = "<object><name>c{}</name><bndbox/></object>"
    text = "".join(item.format(n) for n in range(40_000))
    (root / "Annotations/p0.xml").write_text(f"<annotation>{text}</annotation>")
    assert seconds(root, "voc") < 5


def test_every_line_of_a_label_is_judged_alone() -> None:
    """What the tables above call a good line is one."""
    assert parse_line(bad_boxes.LINE, 1).label == 0


def test_the_good_data_are_silent(tmp_path: Path) -> None:
    """No item of the tables is told because of what the good data set says."""
    for format in FORMATS:
        for split in ("train", "val", "test"):
            data = open_data(base(format), split, strict=True)
            assert isinstance(data, ImageDataset) and told(data) == []
    assert Ground(base("voc"), "voc").pictures and model().is_dir()
