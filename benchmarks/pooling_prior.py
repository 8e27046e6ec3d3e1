"""Pooling as a prior, measured: `python benchmarks/pooling_prior.py`, about a minute on one core.

The same net of 2,255 parameters, that of the lecture notes (28x28 -> 5 filters of 6x6 at stride 2 -> half the
cells -> ReLU -> 10 filters of 3x3 -> ReLU -> dense), learns scikit-learn's handwritten digits. Only how the
cells are halved differs: the maximum of 2x2, their mean, or every second cell, which is no pooling at all.
Digits of 8x8 are enlarged to 20x20 in the middle of 28x28, so that they can be shifted; training never shifts
them. The first 1,300 are for training, or the first 200 of these, and the last 497 for testing. Accuracies
are means over seeds in per cent, of a shift over its four directions.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

SHIFTS = (1, 2, 3, 4)
EPOCHS, BATCH, TRAIN = 30, 50, 1300

HALVES: dict[str, Callable[[], nn.Module]] = {
    "max-pooling": lambda: nn.MaxPool2d(2),
    "mean-pooling": lambda: nn.AvgPool2d(2),
    "every second cell": lambda: nn.MaxPool2d(1, 2),
}


def net(half: Callable[[], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 5, 6, stride=2),
        half(),
        nn.ReLU(),
        nn.Conv2d(5, 10, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(160, 10),
    )


def digits() -> tuple[Tensor, Tensor]:
    """Pictures (1797, 1, 28, 28) about 0, and labels."""
    found = load_digits()
    images = torch.from_numpy(found.images).float()[:, None] / 16
    enlarged = F.interpolate(images, size=20, mode="bilinear", align_corners=False)
    return (F.pad(enlarged, (4, 4, 4, 4)) - 0.15) / 0.3, torch.from_numpy(found.target)


def learn(
    model: nn.Module, images: Tensor, labels: Tensor, steps: int, seed: int, batch: int = BATCH
) -> None:
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(images), (batch,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(images[rows]), labels[rows]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


@torch.inference_mode()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    return 100 * float((model(images).argmax(dim=1) == labels).float().mean())


def shifted(images: Tensor, shift: int) -> list[Tensor]:
    """Up, down, left and right; the margin of 4 pixels is empty, so nothing is lost or comes round."""
    return [images.roll(by, axis) for axis in (2, 3) for by in (-shift, shift)]


def measure(half: Callable[[], nn.Module], count: int, seed: int) -> list[float]:
    """Accuracy in training, in the test, their difference, and in the test after each shift."""
    images, labels = digits()
    torch.manual_seed(seed)
    model = net(half)
    learn(model, images[:count], labels[:count], EPOCHS * TRAIN // BATCH, seed)
    seen = accuracy(model, images[:count], labels[:count])
    unseen = accuracy(model, images[TRAIN:], labels[TRAIN:])
    moved = [
        statistics.mean(accuracy(model, one, labels[TRAIN:]) for one in shifted(images[TRAIN:], shift))
        for shift in SHIFTS
    ]
    return [seen, unseen, seen - unseen, *moved]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    names = ["train", "test", "gap", *(f"shift {one}" for one in SHIFTS)]
    print(f"{seeds} seeds, {EPOCHS * TRAIN // BATCH} steps of {BATCH}, per cent (± deviation over the seeds)")
    print(f"{'digits':>6}  {'halved by':18}" + "".join(f"{name:>13}" for name in names))
    for count in (TRAIN, 200):
        for name, half in HALVES.items():
            runs = [measure(half, count, seed) for seed in range(seeds)]
            cells = [
                f"{statistics.mean(column):.1f} ± {statistics.stdev(column) if seeds > 1 else 0:.1f}"
                for column in zip(*runs, strict=True)
            ]
            print(f"{count:>6}  {name:18}" + "".join(f"{cell:>13}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
