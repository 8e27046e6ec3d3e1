"""How much of zero-shot detection is owed to the label vectors: the same run, with vectors dealt out anew.

    neocog train zero-shot --data scenes:pairs --minutes 5 --val-split none --threads 1 --seed 0 --out RUN
    python benchmarks/zero_shot.py RUN [--seeds 5]

Two controls at test, on the trained network as it is, each by several seeds: the vectors of the unseen
classes are permuted among themselves (seen classes keep theirs), and those of all classes. A random
permutation leaves one class its own on average.

The third control is trained. `--write FILE` writes the pairs' vectors permuted among all classes, for a run
in which they say nothing of how a class looks, though each class keeps one vector from beginning to end:

    python benchmarks/zero_shot.py --write shuffled.json --seed 0
    neocog train zero-shot ... --set embeddings=shuffled.json --out CONTROL
    python benchmarks/zero_shot.py RUN --control CONTROL
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

from neocog.data.label_vectors import pair_vectors
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.evaluate import evaluate
from neocog.models.zero_shot import ZeroShotOptions
from neocog.predict import load

SHOWN = {
    "unseen_map50": "only unseen",
    "gzsd_seen_map50": "seen",
    "gzsd_unseen_map50": "unseen",
    "gzsd_harmonic_map50": "harmonic",
    "gzsd_seen_recall100": "seen R100",
    "gzsd_unseen_recall100": "unseen R100",
}
"""Metrics, and how their columns are headed: VOC mAP50, then Recall@100 over all objects."""


def dealt(options: ZeroShotOptions, labels: list[int], seed: int) -> ZeroShotOptions:
    """Options in which these classes have each other's vectors."""
    vectors = list(options.vectors)
    for label, other in zip(labels, np.random.default_rng(seed).permutation(labels), strict=True):
        vectors[label] = options.vectors[int(other)]
    return replace(options, vectors=tuple(vectors))


def measured(run: Path, data: str, change: partial[ZeroShotOptions] | None = None) -> list[float]:
    """The numbers of SHOWN on the test split."""
    metrics = evaluate(load(run, change=change), open_data(data, "test")).metrics
    return [float(metrics[name] or 0.0) for name in SHOWN]


def write_shuffled(file: Path, seed: int) -> None:
    classes, vectors = Scenes("pairs").classes, dict(pair_vectors().vectors)
    others = [vectors[str(name)] for name in np.random.default_rng(seed).permutation(classes)]
    vectors |= zip(classes, others, strict=True)
    file.write_text(json.dumps(vectors) + "\n", encoding="utf-8")


def show(name: str, numbers: list[float]) -> None:
    print(f"{name:32}" + "".join(f"{number:>12.3f}" for number in numbers), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Zero-shot detection with the right and with other vectors.")
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--data", default="scenes:pairs")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--control", type=Path, help="a run trained with shuffled vectors")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write shuffled vectors, and nothing else")
    parser.add_argument("--seed", type=int, default=0, help="of --write")
    given = parser.parse_args()
    if given.write is not None:
        write_shuffled(given.write, given.seed)
        return
    if given.run is None:
        parser.error("give a RUN, or --write FILE")
    print(" " * 32 + "".join(f"{heading:>12}" for heading in SHOWN.values()), flush=True)
    own = measured(given.run, given.data)
    show("its own vectors", own)
    model = load(given.run).model
    groups = {"unseen": list(model.unseen), "all": list(range(model.classes))}
    rows = {
        f"permuted at test: {name}": [
            measured(given.run, given.data, partial(dealt, labels=labels, seed=seed))
            for seed in range(given.seeds)
        ]
        for name, labels in groups.items()
    }
    if given.control is not None:
        rows["trained with permuted vectors"] = [measured(given.control, given.data)]
    harmonic = list(SHOWN).index("gzsd_harmonic_map50")
    for name, each in rows.items():
        means = [mean(column) for column in zip(*each, strict=True)]
        show(name, means)
        others = ", ".join(f"{one[harmonic]:.3f}" for one in each)
        ratio = own[harmonic] / means[harmonic]
        print(f"    harmonic mean {others}; with its own vectors {ratio:.1f} times as much", flush=True)


if __name__ == "__main__":
    main()
