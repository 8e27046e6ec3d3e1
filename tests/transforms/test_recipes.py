"""Recipes: what each gives, and that plain data travels to workers."""

from __future__ import annotations

import pickle
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from neocog.transforms.colour import ColourJitter
from neocog.transforms.geometry import Affine, Letterbox, ShorterSide
from neocog.transforms.recipes import Recipe, evaluation_recipe, training_recipe
from neocog.types import Frame, Objects, Sample, SampleKey


def sample(index: int = 0, size: tuple[int, int] = (60, 80)) -> Sample:
    rng = np.random.default_rng(index)
    target = Objects(
        torch.tensor([[5.0, 5, 40, 50], [30, 20, 75, 55]]), torch.tensor([0, 1]), torch.zeros(2) > 0
    )
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    return Sample(image, target, Frame(size, size), np.zeros(size, np.uint8), SampleKey(0, 0, index))


@pytest.mark.parametrize(
    "recipe",
    [
        training_recipe((48, 64)),
        training_recipe((48, 64), flip=False, vertical_flip=True, scale=None, colour=None),
        training_recipe(Letterbox((50, 50)), affine=Affine(15, 5, 0.1), colour=ColourJitter(0.5)),
        evaluation_recipe(ShorterSide(30, 60)),
    ],
)
def test_a_pickled_recipe_does_the_same(recipe: Recipe) -> None:
    there, back = recipe(sample()), pickle.loads(pickle.dumps(recipe))(sample())  # noqa: S301
    np.testing.assert_array_equal(there.image, back.image)
    assert there.target is not None and back.target is not None
    assert torch.equal(there.target.boxes, back.target.boxes) and there.frame == back.frame


def test_every_training_sample_has_the_fitted_size() -> None:
    recipe = training_recipe((48, 70))
    assert {recipe(sample(index)).image.shape for index in range(20)} == {(48, 64, 3)}


def test_letterbox_gives_one_size_to_all_shapes() -> None:
    recipe = evaluation_recipe(Letterbox((64, 64)))
    shapes = {recipe(sample(0, size)).image.shape for size in [(60, 80), (90, 30), (64, 64), (1, 200)]}
    assert shapes == {(64, 64, 3)}


def test_evaluation_only_resizes() -> None:
    small = evaluation_recipe((30, 40))(sample())
    assert small.target is not None
    assert small.target.boxes.tolist() == [[2.5, 2.5, 20, 25], [15, 10, 37.5, 27.5]]
    assert small.frame.matrix == (0.5, 0, 0, 0, 0.5, 0)


def test_a_picture_that_already_fits_is_left_alone() -> None:
    given = sample()
    assert evaluation_recipe((60, 80))(given).image is given.image


def test_prediction_samples_need_no_target() -> None:
    bare = Sample(sample().image, None, Frame((60, 80), (60, 80)))
    out = training_recipe((30, 40))(bare)
    assert out.target is None and out.mask is None and out.image.shape == (30, 40, 3)


def test_flip_off_and_on() -> None:
    plain = training_recipe((60, 80), flip=False, scale=None, colour=None)
    assert all(plain(sample(i)).frame.matrix[0] == 1 for i in range(20))
    flips = [
        training_recipe((60, 80), scale=None, colour=None)(sample(i)).frame.matrix[0] for i in range(200)
    ]
    assert set(flips) == {1, -1} and 60 < flips.count(-1) < 140


def test_sample_data_keep_their_boxes_on_the_cells(sample_data: Callable[[str], Path]) -> None:
    """Of BCCD's cells only the white have deep purple nuclei: nearly all purple lies in their boxes."""
    root = sample_data("bccd")
    recipe = training_recipe((240, 320), vertical_flip=True, affine=Affine(8), colour=None, min_visible=0.9)
    inside = everywhere = boxes_seen = 0
    for index, path in enumerate(sorted((root / "Annotations").glob("*.xml"))[:12]):
        image = np.asarray(Image.open(root / "JPEGImages" / f"{path.stem}.jpg").convert("RGB"))
        boxes = [
            [float(item.findtext(f"bndbox/{side}", "0")) for side in ("xmin", "ymin", "xmax", "ymax")]
            for item in ElementTree.parse(path).iter("object")
            if item.findtext("name") == "WBC"
        ]
        count = len(boxes)
        target = Objects(
            torch.tensor(boxes).reshape(-1, 4), torch.zeros(count).long(), torch.zeros(count) > 0
        )
        size = (image.shape[0], image.shape[1])
        out = recipe(Sample(image, target, Frame(size, size), key=SampleKey(0, 0, index)))
        assert out.target is not None
        if out.target.ignore.any():
            continue
        rgb = out.image.astype(int)
        purple = (rgb[..., 2] - rgb[..., 1] > 60) & (rgb[..., 0] < 150)
        covered = np.zeros_like(purple)
        for x0, y0, x1, y1 in out.target.boxes.round().int().tolist():
            covered[y0:y1, x0:x1] = True
        inside, everywhere = inside + (purple & covered).sum(), everywhere + purple.sum()
        boxes_seen += len(out.target)
    assert boxes_seen >= 6 and everywhere > 5000 and inside / everywhere > 0.98
