"""`scenes:pairs`: classes of two attributes, a fifth of which training and validation never show."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from neocog.data.label_vectors import PAIRS, read_vectors
from neocog.data.open import open_data
from neocog.data.render import HELD_OUT, TEXTURES
from neocog.data.scenes import Scenes, open_scenes
from neocog.data.shapes import CLASSES
from neocog.data.write import write_dataset
from neocog.errors import DataError
from neocog.types import Task

UNSEEN = {
    "disc-solid",
    "disc-rings",
    "square-stripes",
    "square-speckle",
    "triangle-checker",
    "star-dots",
    "cross-rings",
    "ring-speckle",
    "crescent-solid",
    "heart-stripes",
    "arrow-checker",
    "hourglass-dots",
}


def test_twelve_of_sixty_are_held_out_and_every_attribute_is_met() -> None:
    data = Scenes("pairs")
    assert data.label_vectors is not None
    assert len(PAIRS) == 60 and data.classes == PAIRS and PAIRS[1] == "disc-stripes"
    assert sorted(data.label_vectors.unseen) == sorted(UNSEEN)
    shown = {tuple(name.split("-")) for name in PAIRS if name not in UNSEEN}
    assert {shape for shape, _ in shown} == set(CLASSES) and {texture for _, texture in shown} == set(
        TEXTURES
    )
    assert Counter(texture for _, texture in HELD_OUT) == dict.fromkeys(range(6), 2)


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_held_out_pairs_are_in_the_test_split_alone(split: str) -> None:
    data = Scenes("pairs", split)
    counts = np.zeros(60, np.int64)
    for index in range(400):
        scene, labels = data.scene(index), data.objects(index).labels.numpy()
        counts += np.bincount(labels, minlength=60)
        assert [PAIRS[k] for k in labels] == [
            f"{CLASSES[shape]}-{TEXTURES[texture]}" for shape, _, texture in scene.attributes
        ]
    held_out = np.array([name in UNSEEN for name in PAIRS])
    assert (counts[~held_out] > 0).all()
    assert (counts[held_out] > 0).all() if split == "test" else (counts[held_out] == 0).all()
    assert data.absent == (() if split == "test" else Scenes("pairs").absent)
    assert set(Scenes("pairs").absent) == UNSEEN


def test_the_mask_says_the_class_of_every_object() -> None:
    data = Scenes("pairs", "test", task=Task.SEGMENT)
    sample, scene = data[3], data.scene(3)
    assert sample.mask is not None and sample.target is not None
    for number, label in enumerate(sample.target.labels.tolist()):
        assert (sample.mask[scene.instances == number + 1] == label).all()
        assert label == Scenes("pairs", "test").objects(3).labels[number] + 1
    assert (sample.mask[scene.instances == 0] == 0).all()


def test_the_other_scenes_are_what_they_were() -> None:
    """Digests of the truths, down to the pixel, as they were before there were pairs."""
    known = {"std": "16e083f47feac9de", "hard": "3c0cb13b87419ef9", "single": "6e6c0806b0b65fc0"}
    for level, digest in known.items():
        data, found = Scenes(level, "train"), hashlib.sha256()
        for index in range(10):
            scene = data.scene(index)
            mask = Scenes(level, "train", task=Task.SEGMENT).mask(index)
            found.update(scene.boxes.tobytes() + scene.attributes.tobytes() + mask.tobytes())
        assert found.hexdigest()[:16] == digest, level
        assert data.classes == CLASSES and data.label_vectors is None and data.absent == ()


def test_its_name_opens_it() -> None:
    data = open_scenes("scenes:pairs", "test", count=3)
    assert data.name == "scenes:pairs" and data.fingerprint != Scenes("std", "test", count=3).fingerprint
    with pytest.raises(DataError, match="did you mean 'scenes:pairs'"):
        open_scenes("scenes:pair")


@pytest.mark.parametrize("format", ["voc", "coco", "yolo"])
def test_files_keep_the_classes_that_training_does_not_show(format: str, tmp_path: Path) -> None:
    splits = {split: Scenes("pairs", split, count=4) for split in ("train", "test")}
    write_dataset(splits, tmp_path / "files", format)
    for split, data in splits.items():
        again = open_data(tmp_path / "files", split)
        assert again.classes == PAIRS
        written = sorted(tuple(sorted(again.objects(index).labels.tolist())) for index in range(4))
        assert written == sorted(tuple(sorted(data.objects(index).labels.tolist())) for index in range(4))


BAD = {
    "[1, 2]": "not an object of JSON",
    "{}": "not an object of JSON",
    '{"cat": [1, 2], "dog": [1]}': "vector of 'dog' has 1 numbers, the first has 2",
    '{"cat": [1, 2], "dog": [0, 0]}': "vector of 'dog' is zero",
    '{"cat": [1, 1e999]}': "vector of 'cat' is not finite",
    '{"cat": [1, NaN]}': "NaN is not a JSON number",
    '{"cat": [1, "2"]}': "vector of 'cat' is not a list of numbers",
    '{"cat": [1, true]}': "vector of 'cat' is not a list of numbers",
    '{"cat": []}': "vector of 'cat' is not a list of numbers",
    '{"cat": 1}': "vector of 'cat' is not a list of numbers",
    '{"cat": [1], "cat": [2]}': "duplicate key 'cat'",
    '{"cat": [1' + "0" * 400 + "]}": "vector of 'cat' is not finite",
    '{"cat": [1': "not JSON or cut off",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_file_of_vectors_says_what_is_wrong_with_it(text: str, tmp_path: Path) -> None:
    file = tmp_path / "vectors.json"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        read_vectors(file)
    assert BAD[text] in str(caught.value) and str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_good_file_of_vectors(tmp_path: Path) -> None:
    file = tmp_path / "vectors.json"
    file.write_text('{"cat": [1, 0.5], "dog": [-2, 0]}')
    assert read_vectors(file) == {"cat": (1.0, 0.5), "dog": (-2.0, 0.0)}
