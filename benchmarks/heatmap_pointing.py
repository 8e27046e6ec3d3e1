"""How often a classifier's heat map has its peak inside the object: `benchmarks/heatmap_pointing.py RUN`.

    neocog train compact --data scenes:single --minutes 5 --val-split none --seed 0 --out RUN

It learnt labels alone. For each test scene, which shows one object, the classifier is made convolutional and
slides over the picture, as `neocog explain RUN PICTURE --method heatmap` does; the peak of the true class is
the centre of a window. Beside it two kinds of chance: the share of all windows whose centre lies inside the
box, and the share of the picture that the box covers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import torch

from neocog.data.open import open_data
from neocog.explain.heatmap import Sliding, peak
from neocog.predict import load
from neocog.types import Task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", default="scenes:single")
    parser.add_argument("--split", default="test")
    given = parser.parse_args()
    predictor = load(given.run, precision="f32")
    data = open_data(given.data, given.split, task=Task.LOCALIZE)
    sliding = Sliding(predictor.model)
    right, pointed, pointed_right, windows, area = [], [], [], [], []
    for index in range(len(data)):
        sample = data[index]
        assert sample.target is not None
        label, box = int(sample.target.labels[0]), sample.target.boxes[0]
        known = predictor.predict(sample.image).label == label
        pixels, logits = sliding(sample.image)
        scale = pixels.shape[1] / sample.image.shape[1]
        x, y = peak(logits, label, sliding.stride, sliding.offset)
        hit = _inside(torch.tensor([x / scale]), torch.tensor([y / scale]), box)
        pointed.append(float(hit))
        right.append(float(known))
        if known:
            pointed_right.append(float(hit))
        rows, columns = (sliding.offset + sliding.stride * torch.arange(side) for side in logits.shape[1:])
        windows.append(float(_inside(columns[None] / scale, rows[:, None] / scale, box).float().mean()))
        height, width = sample.image.shape[:2]
        area.append(float((box[2:] - box[:2]).prod()) / (height * width))
    print(f"{len(data)} pictures of {data.name}, split {data.split}; top-1 {mean(right):.3f}")
    print(f"peak of the true class inside the box: {mean(pointed):.3f}")
    print(f"the same where the classifier was right: {mean(pointed_right):.3f}")
    print(f"chance: a window at random {mean(windows):.3f}, a pixel at random {mean(area):.3f}")


def _inside(x: torch.Tensor, y: torch.Tensor, box: torch.Tensor) -> torch.Tensor:
    return (box[0] <= x) & (x < box[2]) & (box[1] <= y) & (y < box[3])


if __name__ == "__main__":
    main()
