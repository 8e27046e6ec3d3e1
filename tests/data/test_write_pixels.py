"""Masks and class folders that are written are read back as they were."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.references.pixels import blocks, write_folders, write_idx, write_masks

from neocog.data.masks import MaskImages
from neocog.data.open import find_format, open_data, splits_of
from neocog.data.records import Recorded
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.data.write_pixels import palette
from neocog.errors import DataError
from neocog.types import Sample, Task


def opened(root: Path, task: Task, split: str = "train") -> Recorded:
    data = open_data(root, split, strict=True, task=task)
    assert isinstance(data, Recorded)
    return data


def truth(sample: Sample) -> tuple[object, object, list[object]]:
    mask = None if sample.mask is None else sample.mask.tolist()
    return sample.label, mask, sample.image.tolist()


@pytest.mark.parametrize(("format", "task"), [("masks", Task.SEGMENT), ("folders", Task.CLASSIFY)])
def test_scenes_come_back(format: str, task: Task, tmp_path: Path) -> None:
    drawn = {split: Scenes("std", split, count=12, size=48, task=task) for split in ("train", "val")}
    written = write_dataset(drawn, tmp_path / "to", format)
    assert (written.images, written.left_out, written.splits) == (24, 0, {"train": 12, "val": 12})
    assert find_format(tmp_path / "to") == format and splits_of(tmp_path / "to") == ("train", "val")
    for split, source in drawn.items():
        again = opened(tmp_path / "to", task, split)
        assert again.classes == source.classes and len(again) == 12
        places = {Path(again.identity(index)).stem: index for index in range(12)}
        for index in range(12):
            assert truth(again[places[f"std_{split}_{index}"]]) == truth(source[index])


MASKS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.sampled_from([0, 1, 2, 3, 255])
)
NAME = st.text("ab 1.é", min_size=1, max_size=6).map(lambda text: " ".join(text.split())).filter(bool)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(MASKS, min_size=1, max_size=3), st.lists(NAME, min_size=4, max_size=4, unique_by=str.casefold)
)
def test_any_mask_and_any_names_come_back(masks: list[np.ndarray], names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        numbered = "".join(f"{number} {name}\n" for number, name in enumerate(names))
        source = opened(write_masks(Path(folder) / "from", {"train": masks}, numbered), Task.SEGMENT)
        assert isinstance(source, MaskImages) and source.classes == tuple(names)
        write_dataset({"train": source}, Path(folder) / "to", "masks")
        again = opened(Path(folder) / "to", Task.SEGMENT)
        assert isinstance(again, MaskImages) and again.classes == source.classes
        assert [again.mask(i).tolist() for i in range(len(masks))] == [mask.tolist() for mask in masks]
        assert again[0].image.tolist() == source[0].image.tolist()


def test_the_palette_is_that_of_voc() -> None:
    """Colours as the development kit of VOC 2012 lists them."""
    colours = palette().tolist()
    assert colours[:6] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]]
    assert colours[15] == [192, 128, 128] and colours[20] == [0, 64, 128] and colours[255] == [224, 224, 192]


def test_ignored_numbers_become_255(tmp_path: Path) -> None:
    root = write_masks(tmp_path / "from", {"train": [blocks(0, 1, 2)]}, "0 a\n1 void\n2 b c\n")
    data = open_data(root, task=Task.SEGMENT, ignore_label=1)
    write_dataset({"train": data}, tmp_path / "to", "masks")
    again = opened(tmp_path / "to", Task.SEGMENT)
    assert isinstance(again, MaskImages) and again.classes == ("a", "b c")
    assert (again.mask(0) == blocks(0, 255, 1)).all()
    assert (tmp_path / "to/classes.txt").read_text() == "0 a 0 0 0\n1 b c 128 0 0\n"


def test_class_folders_keep_the_order_of_classes_and_the_files(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "from", {"train": {"cat": 2, "ant": 1, "bee": 0}, "val": {"cat": 1}})
    (root / "classes.txt").write_text("cat\nbee\nant\n")
    data = {split: opened(root, Task.CLASSIFY, split) for split in ("train", "val")}
    write_dataset(data, tmp_path / "to", "folders")
    for split, before in data.items():
        again = opened(tmp_path / "to", Task.CLASSIFY, split)
        assert again.classes == ("cat", "bee", "ant")
        kept = sorted((again[i].label, again[i].image.tobytes()) for i in range(len(again)))
        assert kept == sorted((before[i].label, before[i].image.tobytes()) for i in range(len(before)))
    files = {path.read_bytes() for path in (tmp_path / "to").rglob("*.png")}
    assert files == {path.read_bytes() for path in root.rglob("*.png")}


def test_idx_files_become_class_folders(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)
    labels = (np.arange(20) % 3).astype(np.uint8)
    root = write_idx(tmp_path / "from", "train", images, labels)
    splits = {split: opened(root, Task.CLASSIFY, split) for split in ("train", "val")}
    write_dataset(splits, tmp_path / "to", "folders")
    again = opened(tmp_path / "to", Task.CLASSIFY)
    assert again.classes == ("0", "1", "2") and len(again) == 18
    for index in range(18):
        number = int(Path(again.identity(index)).stem.removeprefix("train_"))
        assert again[index].label == labels[number]
        assert (again[index].image[..., 0] == images[number]).all()


def classes(names: tuple[str, ...], task: Task) -> Scenes:
    data = Scenes("std", "train", count=1, size=32, task=task)
    data.classes = names
    return data


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("T-shirt/top", "cannot be a folder's name"),
        (".hidden", "cannot be a folder's name"),
        ("con", "cannot be a folder's name"),
        ("images", "is a folder's name in other layouts"),
        ("x" * 300, "is too long for a folder's name"),
        ("DISC", "differs from another class in case alone"),
        (" padded", "cannot hold a blank, unprintable or padded name"),
    ],
)
def test_classes_that_cannot_be_folders(name: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=reason):
        write_dataset({"train": classes(("disc", name), Task.CLASSIFY)}, tmp_path / "to", "folders")
    assert not (tmp_path / "to").exists()


def test_a_format_holds_the_truth_of_its_task_alone(tmp_path: Path) -> None:
    for task, format, others in (
        (Task.DETECT, "masks", "voc, coco, yolo"),
        (Task.SEGMENT, "folders", "masks"),
        (Task.CLASSIFY, "voc", "folders"),
    ):
        with pytest.raises(DataError, match=rf"serve {task}, which {format} cannot hold \(write {others}\)"):
            write_dataset({"train": Scenes("std", count=1, task=task)}, tmp_path / "to", format)
    with pytest.raises(DataError, match=r"split 'night': class folders know train, val"):
        write_dataset({"night": Scenes("std", count=1, task=Task.CLASSIFY)}, tmp_path / "to", "folders")
