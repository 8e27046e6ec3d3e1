"""One data set in three formats is one data set: same pictures, labels, boxes and first losses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from neocog.cli import main
from neocog.data.dataset import Dataset
from neocog.data.loader import Loader
from neocog.data.open import open_data
from neocog.plan import Augmentation
from neocog.zoo import create


@pytest.fixture(scope="module", params=["coco", "yolo"])
def pair(
    request: pytest.FixtureRequest,
    sample_data: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """BCCD as it is, and converted."""
    source, target = sample_data("bccd"), tmp_path_factory.mktemp(request.param) / "converted"
    assert main(["data", "convert", str(source), str(target), "--format", request.param]) == 0
    return source, target


def test_pictures_labels_and_boxes_are_the_same(pair: tuple[Path, Path]) -> None:
    for split in ("train", "val", "test"):
        first, again = open_data(pair[0], split), open_data(pair[1], split)
        assert first.classes == again.classes
        assert len(first) == len(again)
        for index in range(len(first)):
            mine, other = first.objects(index), again.objects(index)
            assert torch.equal(mine.labels, other.labels)
            torch.testing.assert_close(mine.boxes, other.boxes, rtol=0, atol=1e-3)
        assert (first[0].image == again[0].image).all()
        assert (first[len(first) - 1].image == again[len(first) - 1].image).all()


def first_losses(data: Dataset) -> list[float]:
    torch.manual_seed(0)
    model: Any = create("faster-rcnn", data.classes).to(memory_format=torch.channels_last)
    loader = Loader(data, Augmentation().recipe((160, 160)), batch_size=4, steps=3, stride=16)
    losses = []
    for batch in loader:
        losses += [value.item() for value in model.loss(model(batch), batch).values()]
    return losses


def test_first_losses_are_the_same(pair: tuple[Path, Path]) -> None:
    first, again = (first_losses(open_data(path, "train")) for path in pair)
    assert len(first) == 12
    assert first == pytest.approx(again, rel=1e-4, abs=1e-4)
