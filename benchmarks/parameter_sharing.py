"""What it is worth that a convolution shares its weights: `python benchmarks/parameter_sharing.py`.

The digit net of the lecture notes learns three times, each time with another first layer: its convolution;
filters of its own at each position; a fully connected layer onto as many outputs. All else is equal: data,
their order, steps and rates. Accuracies in per cent are of the test pictures as they are, and each moved by
up to so many pixels along both axes, at random, with black where nothing was; training never moves them.
`--data` takes any other pictures to classify.
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import replace
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from neocog.backbones.notes import DIGIT_SIDE, notes_digit
from neocog.data.dataset import Dataset
from neocog.data.open import open_data
from neocog.defaults import classifier_options
from neocog.explain.subject import with_images
from neocog.models.classifier import Classifier
from neocog.parts.local import First
from neocog.transforms.geometry import Resize
from neocog.transforms.recipes import evaluation_recipe
from neocog.types import Task, blank_batch
from pooling_prior import accuracy, learn

SHIFTS = (2, 4)
BATCH = 64


def tensors(data: Dataset) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, 28, 28) uint8 and labels (N,) of a whole split."""
    recipe = evaluation_recipe(Resize((DIGIT_SIDE, DIGIT_SIDE)))
    samples = [recipe(data[index]) for index in range(len(data))]
    images = torch.stack([torch.from_numpy(one.image).permute(2, 0, 1) for one in samples])
    return images, torch.tensor([one.label for one in samples])


class OnPictures(nn.Module):
    """A classifier as a function of pictures (N, 3, 28, 28) uint8 alone: logits (N, K)."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        batch = with_images(blank_batch((DIGIT_SIDE, DIGIT_SIDE)), images / 255)
        logits: Tensor = self.classifier(batch).logits
        return logits


def moved(images: Tensor, most: int, seed: int) -> Tensor:
    """Each picture shifted by -most to most pixels along both axes; what comes from outside is black."""
    generator = torch.Generator().manual_seed(seed)
    shifts = torch.randint(-most, most + 1, (len(images), 2), generator=generator)
    padded = F.pad(images, (most,) * 4)
    height, width = images.shape[2:]
    return torch.stack(
        [
            picture[:, most + down : most + down + height, most + right : most + right + width]
            for picture, (down, right) in zip(padded, shifts.tolist(), strict=True)
        ]
    )


def accuracy_of(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Per cent, of as many pictures as there are."""
    parts = zip(torch.split(images, 1000), torch.split(labels, 1000), strict=True)
    return sum(accuracy(model, some, true) * len(true) for some, true in parts) / len(labels)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", default="scenes:digits")
    parser.add_argument("--train-split", default="trainval")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    images, labels = tensors(open_data(given.data, given.train_split, task=Task.CLASSIFY))
    unseen, truth = tensors(open_data(given.data, "test", task=Task.CLASSIFY))
    classes = int(torch.cat([labels, truth]).max()) + 1
    print(
        f"{len(images)} pictures, {given.steps} steps of {BATCH}, {given.seeds} seeds, per cent (± deviation)"
    )
    names = ["train", "test", *(f"moved by {most}" for most in SHIFTS)]
    print(f"{'first layer':12}{'its weights':>12}{'all':>10}" + "".join(f"{name:>14}" for name in names))
    for first in get_args(First):
        runs: list[list[float]] = []
        for seed in range(given.seeds):
            torch.manual_seed(seed)
            options = replace(classifier_options("notes-digit", DIGIT_SIDE), first=first)
            model = OnPictures(Classifier(notes_digit(), classes, options))
            learn(model, images, labels, given.steps, seed, BATCH)
            pictures = (unseen, *(moved(unseen, most, seed) for most in SHIFTS))
            own = accuracy_of(model, images, labels)
            runs.append([own, *(accuracy_of(model, some, truth) for some in pictures)])
        cells = [
            f"{statistics.mean(column):.1f} ± {statistics.stdev(column) if given.seeds > 1 else 0:.1f}"
            for column in zip(*runs, strict=True)
        ]
        layer = count(model.classifier.backbone.get_submodule("conv1"))
        counts = f"{layer:>12,}{count(model):>10,}"
        print(f"{first:12}{counts}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
