"""Whether one unit of DC-IGN's code turns a solid never seen, and what clamping has to do with it.

    python benchmarks/inverse_graphics.py [--minutes 5] [--threads 2] [--seed 0] [--out strip.png]

Trains the network of 64 px on `scenes:solids`, as it is and without clamping (entangled), and moves one unit
at a time: of the first its azimuth, elevation and light unit; of the second the unit that varies most while
that angle changes. The angle is read from the decoder's picture, by the nearest of the renderer's own of the
same solid; the encoder has no say in it. Target: a correlation of 0.9 with the true azimuth.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch

from neocog.data.loader import Loader
from neocog.data.solids import PAPER_RATIO, Solids
from neocog.data.solids_render import RANGES
from neocog.explain.graphics import BEYOND, STEP, Motion, encode, freest_unit, measure_motion
from neocog.metrics.graphics import agreement
from neocog.models.inverse_graphics import SMALL, InverseGraphics, InverseGraphicsOptions
from neocog.train import Training, TrainOptions, fit
from neocog.transforms.recipes import evaluation_recipe

SEQUENCES = 40
"""Test sequences of each kind that are measured, each of another solid."""


def trained(options: InverseGraphicsOptions, given: argparse.Namespace) -> InverseGraphics:
    torch.manual_seed(given.seed)
    model = InverseGraphics(options=options).to(memory_format=torch.channels_last)
    plan = TrainOptions(
        minutes=given.minutes,
        batch=given.batch,
        optimizer="adamw",
        lr=given.lr,
        weight_decay=0.0,
        clip=math.inf,
        ema=given.ema,
        seed=given.seed,
    )
    training = Training(model, plan, None)
    data = Solids("train", ratio=tuple(given.ratio))
    loader = Loader(
        data, evaluation_recipe((64, 64)), batch_size=given.batch, seed=given.seed, stride=model.padding
    )
    began, kept, shown = time.perf_counter(), [], 0.0
    for step in fit(training, loader):
        kept.append([step.losses["reconstruction"], step.losses["kl"]])
        if step.progress - shown >= 0.1 or step.progress == 1:
            shown = step.progress
            reconstruction, kl = np.mean(kept[-200:], axis=0)
            print(
                f"  step {step.number:6} {time.perf_counter() - began:6.0f} s  "
                f"reconstruction {reconstruction:8.2f}  kl {kl:6.2f}",
                flush=True,
            )
    model.load_state_dict(training.result())
    return model.eval()


def test_data(name: str) -> Solids:
    ratio = tuple(int(one == name) for one in (*RANGES, "shape"))
    return Solids("test", count=20 * SEQUENCES, ratio=ratio)  # type: ignore[arg-type]


def row(label: str, motion: Motion) -> None:
    own = motion.own
    direct = agreement(getattr(own, motion.name).ravel(), motion.truth.ravel())
    within = np.median([abs(one.spearman) for one in motion.of_sequences()])
    others = " ".join(
        f"{name} {np.median(motion.span(name)):4.0f}/{np.percentile(motion.span(name), 95):4.0f}"
        for name in RANGES
    )
    spread = motion.swept
    reached = np.median(np.ptp(getattr(spread, motion.name), axis=1))
    encoded = agreement(motion.encoded.ravel(), motion.truth.ravel())
    print(
        f"{label:10} {motion.name:9} unit {motion.unit + 1:3}  r {abs(motion.agreement.pearson):.3f} "
        f"rho {abs(motion.agreement.spearman):.3f} within {within:.3f}  onward {motion.forward():.2f} "
        f"reach {reached:4.0f}  moves {others}  | encoder r {abs(encoded.pearson):.3f}, whole code r "
        f"{abs(direct.pearson):.3f}",
        flush=True,
    )


def report(label: str, model: InverseGraphics) -> None:
    whole = Solids("test")
    codes = encode(model, whole, range(0, len(whole), 4))
    spread = codes.var(dim=0)
    with torch.inference_mode():
        pictures = torch.stack(
            [torch.from_numpy(whole[i].image[:, :, 0].copy()) for i in range(0, len(whole), 4)]
        )
        mse = float(((model.draw(codes).sigmoid()[:, 0] - pictures / 255) ** 2).mean())
    print(f"{label}: test MSE {mse:.2e}, units in use {int((spread > 0.05).sum())} of {len(spread)}")
    for name in RANGES:
        data = test_data(name)
        unit = freest_unit(model, data, name) if model.options.entangled else None
        row(label, measure_motion(model, data, name, unit))


def main() -> None:
    parser = argparse.ArgumentParser(description="DC-IGN on shaded solids, clamped and entangled.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--invariance", type=float, default=SMALL.invariance)
    parser.add_argument("--ratio", type=int, nargs=4, default=PAPER_RATIO)
    parser.add_argument("--only", choices=["clamped", "entangled"])
    parser.add_argument("--out", help="where the clamped network's weights are written")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"grids: steps of {STEP:g} degrees (azimuth) and {2 * STEP:g}, {BEYOND:g} beyond {dict(RANGES)}")
    from dataclasses import replace

    for label in ("clamped", "entangled"):
        if given.only in (None, label):
            options = replace(SMALL, invariance=given.invariance, entangled=label == "entangled")
            model = trained(options, given)
            if given.out:
                torch.save(model.state_dict(), f"{given.out}-{label}.pt")
            report(label, model)


if __name__ == "__main__":
    main()
