"""Occlusion: the square lies where it is said to lie, and what it costs is measured there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.references.small_classifier import SmallClassifier, subject_of
from torch import Tensor

from neocog.backbones.compact import compact
from neocog.explain.occlusion import occlude, occlusion
from neocog.explain.scores import Finding, probability_of
from neocog.explain.subject import Choices
from neocog.types import Task


def test_the_square_hides_what_lies_under_it() -> None:
    """The model's "probability" is one pixel: only squares over it change it."""
    image = torch.ones(3, 20, 30)
    seen = occlude(lambda images: images[:, 0, 7, 22], image, torch.zeros(3), square=6, step=4)
    assert seen.shape == (5, 8)
    for row in range(5):
        for column in range(8):
            y, x = 4 * row + 2, 4 * column + 2
            hidden = y - 3 <= 7 < y + 3 and x - 3 <= 22 < x + 3
            assert seen[row, column] == (0 if hidden else 1)


def test_the_colour_of_the_square_and_the_size_of_batches() -> None:
    sizes = []

    def mean(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return images.mean(dim=(2, 3))[:, 1]

    fill = torch.tensor([0.1, 0.5, 0.9])
    seen = occlude(mean, torch.zeros(3, 8, 8), fill, square=4, step=4, at_once=3)
    assert sizes == [3, 1]
    assert torch.allclose(seen, torch.full((2, 2), 0.5 / 4))


@pytest.mark.parametrize("task", [Task.CLASSIFY, Task.LOCALIZE, Task.SEGMENT])
def test_probabilities_of_a_batch_are_those_of_each_picture(task: Task) -> None:
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    subject = subject_of(SmallClassifier(compact(), 3, task), pixels)
    finding = Finding(1, 0.0, torch.zeros(()))
    probability = probability_of(subject, finding)
    images = torch.rand(2, 3, 48, 64)
    both = probability(images)
    assert both.tolist() == pytest.approx([float(probability(one[None])[0]) for one in images], abs=1e-6)
    whole = subject.model(subject.batch).logits.softmax(dim=1)[0, 1]
    if task is not Task.SEGMENT:
        assert float(probability(subject.batch.images)[0]) == pytest.approx(float(whole), abs=1e-6)


def test_pictures_and_the_record() -> None:
    torch.manual_seed(0)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    lost, probability = occlusion(subject_of(SmallClassifier(compact(), 3), pixels), Choices(label="class 2"))
    assert (lost.name, probability.name) == ("lost", "probability")
    record = probability.record
    assert record["class"] == "class 2" and record["square"] == 11 and record["step"] == 5
    assert np.shape(record["values"]) == (10, 13) and record["lowest"] == np.min(record["values"])
