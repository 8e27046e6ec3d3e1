"""Proposals that come with samples: they follow the picture, and are kept by its content."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from neocog.data.loader import Loader
from neocog.data.packing import collate
from neocog.data.proposed import Proposed
from neocog.data.scenes import Scenes
from neocog.errors import DataError
from neocog.transforms.recipes import training_recipe
from neocog.types import Proposals, Sample


@dataclass
class Finder:
    """A search that counts how often it is asked; its boxes follow from the pixels."""

    asked: list[int] = field(default_factory=list)

    def __call__(self, image: np.ndarray) -> Proposals:
        self.asked.append(int(image.sum()))
        draw = torch.Generator().manual_seed(int(image.sum()))
        corners = torch.rand(5, 2, generator=draw) * 60
        return Proposals(torch.cat([corners, corners + 40], 1), torch.linspace(1, 0, 5))


def kept(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.boxes"))


def test_found_once_and_read_again(tmp_path: Path) -> None:
    scenes = Scenes("std", "val", count=3)
    find = Finder()
    data = Proposed(scenes, find, "one", tmp_path / "kept")
    first = [data[index].proposals for index in range(3)]
    assert len(find.asked) == 3 and len(kept(tmp_path)) == 3
    again = Proposed(scenes, find, "one", tmp_path / "kept")
    for index, proposals in enumerate(first):
        read = again[index].proposals
        assert proposals is not None and read is not None
        assert torch.equal(proposals.boxes, read.boxes) and torch.equal(proposals.scores, read.scores)
    assert len(find.asked) == 3
    assert Proposed(scenes, find, "other", tmp_path / "kept")[0].proposals is not None
    assert len(find.asked) == 4  # another method, another search


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "gone"])
def test_what_is_damaged_is_searched_anew(tmp_path: Path, damage: str) -> None:
    find = Finder()
    data = Proposed(Scenes("std", "val", count=1), find, "one", tmp_path)
    before = data[0].proposals
    (path,) = kept(tmp_path)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-3] ^= 4
    path.write_bytes(content[: {"cut": 60, "empty": 0}.get(damage, len(content))])
    if damage == "gone":
        path.unlink()
    after = data[0].proposals
    assert before is not None and after is not None and torch.equal(before.boxes, after.boxes)
    assert len(find.asked) == 2
    assert data[0].proposals is not None and len(find.asked) == 2  # mended


def test_a_folder_that_cannot_be_written_costs_time_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    find = Finder()
    data = Proposed(Scenes("std", "val", count=1), find, "one", tmp_path / "file" / "kept")
    assert data[0].proposals is not None and data[0].proposals is not None
    assert len(find.asked) == 2


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_prepared_ahead(tmp_path: Path, workers: int) -> None:
    find = Finder()
    data = Proposed(Scenes("std", "val", count=4), find, "one", tmp_path)
    assert list(data.prepare(range(4), workers)) == [1, 2, 3, 4]
    asked = len(find.asked)
    for index in range(4):
        assert data[index].proposals is not None
    assert len(find.asked) == asked and len(kept(tmp_path)) == 4


def test_unreadable_pictures_are_passed_over(tmp_path: Path) -> None:
    class Broken(Scenes):
        def __getitem__(self, index: int) -> Sample:
            if index == 1:
                raise DataError("picture 1: cannot be read")
            return super().__getitem__(index)

    data = Proposed(Broken("std", "val", count=3), Finder(), "one", tmp_path)
    assert list(data.prepare(range(3), 0)) == [1, 2, 3]
    with pytest.raises(DataError, match="picture 1"):
        data[1]


def test_the_rest_is_as_in_the_data() -> None:
    scenes = Scenes("std", "val", count=3)
    data = Proposed(scenes, Finder(), "one", None)
    assert (data.name, data.format, data.split) == (scenes.name, scenes.format, scenes.split)
    assert (data.classes, data.fingerprint, len(data)) == (scenes.classes, scenes.fingerprint, 3)
    assert data.identity(2) == scenes.identity(2) and data.size(2) == scenes.size(2)
    assert torch.equal(data.objects(1).boxes, scenes.objects(1).boxes)
    assert not hasattr(data, "report")


def test_proposals_follow_the_picture_as_objects_do() -> None:
    """The objects themselves as proposals: after any augmentation the two lie in the same places."""
    scenes = Scenes("std", "train", count=30)
    recipe = training_recipe((96, 96), scale=(0.6, 1.6), vertical_flip=True)
    checked = 0
    for index in range(30):
        sample = scenes[index]
        assert sample.target is not None
        boxes = sample.target.boxes
        key = replace(sample.key, index=index, epoch=5)
        moved = recipe(replace(sample, proposals=Proposals(boxes, torch.zeros(len(boxes))), key=key))
        assert moved.target is not None and moved.proposals is not None
        assert torch.equal(moved.target.boxes, moved.proposals.boxes)
        checked += len(moved.proposals)
    assert checked > 40


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_batches_carry_them(workers: int) -> None:
    data = Proposed(Scenes("std", "val", count=6), Finder(), "one", None)
    loader = Loader(data, training_recipe((64, 64), colour=None), batch_size=3, workers=workers, steps=2)
    for batch in loader:
        assert batch.proposals is not None
        assert [len(proposals) for proposals in batch.proposals] == [5, 5, 5]


def test_a_batch_has_them_only_if_every_sample_does() -> None:
    samples = [Scenes("std", "val", count=2)[index] for index in range(2)]
    found = Finder()(samples[0].image)
    assert collate([replace(samples[0], proposals=found), samples[1]]).proposals is None
