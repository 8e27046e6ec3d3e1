"""Whether one unit of DC-IGN's code turns a solid never seen, and what clamping has to do with it.

    python benchmarks/inverse_graphics.py [--minutes 5] [--threads 2] [--seed 0] [--strip strip.png]

Trains the network of 64 px on `scenes:solids`, as it is and without clamping (entangled), and moves one unit
at a time: of the first its azimuth, elevation and light unit; of the second the unit that varies most while
that angle changes. The angle is read from the decoder's picture, by the nearest of the renderer's own of the
same solid; the encoder has no say in it. Target: a correlation of 0.9 with the true azimuth.

Columns: Pearson's and Spearman's correlation of what was read with the truth, over all pictures; the median
of Spearman's within a sequence; the share of steps of an even sweep that go on in one direction, and the
degrees it covers; the degrees that each angle moved in a sequence, median and 95th percentile. Last, for
comparison, the correlation of the unit itself, and of the angle read from reconstructions by whole codes.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neocog.data.loader import Loader
from neocog.data.solids import CODE_RATIO, GROUP, KINDS, Solids
from neocog.data.solids_render import RANGES
from neocog.explain.graphics import (
    BEYOND,
    STEP,
    Motion,
    decode,
    encode,
    freest_intrinsic,
    freest_unit,
    measure_motion,
    reach_of_units,
    rows_of_units,
)
from neocog.metrics.graphics import agreement
from neocog.models.inverse_graphics import SMALL, InverseGraphics
from neocog.pictures.graphics import unit_strips
from neocog.train import Training, TrainOptions, fit

SEQUENCES = 40
"""Test sequences of each kind that are measured."""


HEADING = (
    "network   angle      unit  Pearson  Spearman  within  onward  reach     azimuth   elevation       light"
    "    unit   whole"
)


def trained(model: InverseGraphics, given: argparse.Namespace) -> InverseGraphics:
    plan = TrainOptions(
        steps=given.steps,
        minutes=None if given.steps else given.minutes,
        batch=given.batch,
        optimizer="adamw",
        lr=given.lr,
        weight_decay=0.0,
        clip=math.inf,
        seed=given.seed,
    )
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    training = Training(model, plan, given.steps)
    data = Solids("train", ratio=tuple(given.ratio))
    loader = Loader(data, lambda sample: sample, batch_size=given.batch, seed=given.seed, stride=1)
    began, kept, shown = time.perf_counter(), [], 0.0
    for step in fit(training, loader):
        kept.append([step.losses["reconstruction"], step.losses["kl"]])
        if step.progress - shown >= 0.1 or step.progress == 1:
            shown = step.progress
            reconstruction, kl = np.mean(kept[-200:], axis=0)
            seconds = time.perf_counter() - began
            print(
                f"  step {step.number:6} {seconds:6.0f} s  {reconstruction:8.1f} + {kl:5.1f} nats", flush=True
            )
    model.load_state_dict(training.result())
    return model.eval()


def of_kind(name: str) -> Solids:
    ratio = tuple(int(one == name) for one in KINDS)
    return Solids("test", count=GROUP * SEQUENCES, ratio=ratio)  # type: ignore[arg-type]


def row(label: str, motion: Motion) -> str:
    name, truth = motion.name, motion.truth.ravel()
    overall = motion.agreement
    within = np.median([abs(one.spearman) for one in motion.of_sequences()])
    reach = np.median(np.ptp(getattr(motion.swept, name), axis=1))
    spans = "".join(
        f"{np.median(motion.span(one)):7.0f} /{np.percentile(motion.span(one), 95):4.0f}" for one in RANGES
    )
    unit = abs(agreement(motion.encoded.ravel(), truth).pearson)
    whole = abs(agreement(getattr(motion.own, name).ravel(), truth).pearson)
    return (
        f"{label:10}{name:10}{motion.unit + 1:5}{abs(overall.pearson):9.3f}{abs(overall.spearman):10.3f}"
        f"{within:8.3f}{motion.forward():8.2f}{reach:7.0f}{spans}{unit:8.3f}{whole:8.3f}"
    )


def report(label: str, model: InverseGraphics) -> None:
    data = Solids("test")
    some = range(0, len(data), 4)
    codes = encode(model, data, some)
    truth = np.stack([data[index].image[:, :, 0] for index in some]) / 255
    mse = float(np.mean((decode(model, codes) - truth) ** 2))
    print(f"{label}: mean squared error of test pictures {mse:.2e}")
    for name in RANGES:
        own = of_kind(name)
        unit = freest_unit(model, own, name) if model.options.entangled else None
        print(row(label, measure_motion(model, own, name, unit)), flush=True)


def strip(model: InverseGraphics, file: Path) -> None:
    data = Solids("test")
    units = (*range(len(RANGES)), freest_intrinsic(model, data))
    rows = rows_of_units(model, data, GROUP // 2, units, reach_of_units(model, data))
    unit_strips([(one.name, one.pictures) for one in rows]).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description="DC-IGN on shaded solids, clamped and entangled.")
    parser.add_argument("--minutes", type=float, default=5, help="of training, for each network")
    parser.add_argument("--steps", type=int, help="in place of minutes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--invariance", type=float, default=SMALL.invariance)
    parser.add_argument(
        "--ratio", type=int, nargs=4, default=CODE_RATIO, help="azimuth elevation light shape"
    )
    parser.add_argument("--only", choices=["clamped", "entangled"])
    parser.add_argument("--strip", type=Path, help="where a picture of moved units is written")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"angles in {RANGES}; grids go {BEYOND:g} degrees beyond")
    print(f"in steps of {STEP:g} degree of the angle that is moved, {2 * STEP:g} of the others")
    print(HEADING)
    for label in ("clamped", "entangled"):
        if given.only in (None, label):
            torch.manual_seed(given.seed)
            options = replace(SMALL, invariance=given.invariance, entangled=label == "entangled")
            model = trained(InverseGraphics(options=options), given)
            report(label, model)
            if given.strip and label == "clamped":
                strip(model, given.strip)


if __name__ == "__main__":
    main()
