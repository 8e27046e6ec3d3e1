"""A data set written in each of the three formats is read back as it was."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.references.datasets import Picture, Thing, World, write_coco, write_voc, write_yolo

from neocog.data.open import open_data

CLASSES = ("ant", "bee", "cat")


@st.composite
def pictures(draw: st.DrawFn, prefix: str, whole: bool) -> list[Picture]:
    """Up to three pictures; boxes at least a pixel large, no two alike."""
    found = []
    for number in range(draw(st.integers(1, 3))):
        width, height = draw(st.integers(2, 40)), draw(st.integers(2, 40))
        things: dict[tuple[float, ...], Thing] = {}
        for _ in range(draw(st.integers(0, 4))):
            x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
            box = (x0, y0, draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height)))
            if not whole:
                box = (box[0] + draw(st.floats(0, 0.4)), box[1], box[2] - draw(st.floats(0, 0.4)), box[3])
            key = tuple(round(value, 2) for value in box)
            things[key] = Thing(draw(st.sampled_from(CLASSES)), box, draw(st.booleans()))
        found.append(Picture(f"{prefix}{number}", width, height, tuple(things.values())))
    everything = (Thing(name, (0, 0, 1, 1 + at)) for at, name in enumerate(CLASSES))
    return [
        *found,
        Picture(f"{prefix}all", 2, 4, tuple(everything)),
    ]  # so that every class is seen in training


def worlds(whole: bool) -> st.SearchStrategy[dict[str, list[Picture]]]:
    return st.fixed_dictionaries({"train": pictures("t", whole), "val": pictures("v", whole)})


def assert_equal(root: Path, world: World, ignore: bool) -> None:
    for split, expected in world.items():
        data = open_data(root, split, strict=True)
        assert data.classes == CLASSES and len(data) == len(expected)
        by_stem = {Path(data.identity(index)).stem: index for index in range(len(data))}
        for picture in expected:
            index = by_stem[picture.stem]
            objects = data.objects(index)
            assert data.size(index) == (picture.height, picture.width) == data[index].image.shape[:2]
            assert [data.classes[label] for label in objects.labels.tolist()] == [
                t.name for t in picture.things
            ]
            boxes = np.array([t.box for t in picture.things]).reshape(-1, 4)
            np.testing.assert_allclose(objects.boxes.numpy(), boxes, atol=1e-3)
            if ignore:
                assert objects.ignore.tolist() == [t.ignore for t in picture.things]


SLOW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(worlds(whole=True))
def test_voc(world: World) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_equal(write_voc(Path(folder) / "pets", world), world, ignore=True)


@SLOW
@given(worlds(whole=False))
def test_coco(world: World) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_equal(write_coco(Path(folder) / "pets", world, CLASSES), world, ignore=True)


@SLOW
@given(worlds(whole=False))
def test_yolo(world: World) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert_equal(write_yolo(Path(folder) / "pets", world, CLASSES), world, ignore=False)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tif"])
def test_every_picture_format(suffix: str, tmp_path: Path) -> None:
    world = {"train": [Picture("a", 24, 16, (Thing("ant", (1, 2, 20, 12)),))]}
    data = open_data(write_voc(tmp_path / "pets", world, suffix), strict=True)
    assert data[0].image.shape == (16, 24, 3) and len(data.objects(0)) == 1
