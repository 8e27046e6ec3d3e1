"""A classifier that is trained in a second, so that there is always a network to look into."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from neocog.data.digits import Digits
from neocog.data.packing import collate
from neocog.lab.runs import Run
from neocog.predict import Predictor
from neocog.zoo import create

MODEL, SIDE = "lenet5", 28
EPOCHS, BATCH, LR = 10, 65, 4e-3
SHIFT = 2
"""Pixels that a batch is moved by at most, as what people draw is not centred."""


def digit_net() -> Run:
    """LeNet-5 on scikit-learn's digits, as a run that is trained when it is first asked."""
    return Run("digit net, trained here", MODEL, Digits.task.value, Digits.classes, train_digits)


def train_digits(split: str = "trainval") -> Predictor:
    """LeNet-5 after ten epochs of 1,300 digits: the same every time on one machine."""
    data = Digits(split, SIDE)
    whole = collate([data[index] for index in range(len(data))], stride=1)
    assert whole.labels is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: Any = create(MODEL, data.classes, side=SIDE)
    steps, draw = EPOCHS * len(data) // BATCH, torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, pct_start=0.2)
    batch = replace(whole, sizes=whole.sizes[:BATCH], frames=whole.frames[:BATCH], keys=whole.keys[:BATCH])
    for _ in range(steps):
        chosen = torch.randint(len(data), (BATCH,), generator=draw)
        moved = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=draw).tolist()
        images = whole.images[chosen].roll(moved, (2, 3))
        batch = replace(batch, images=images, labels=whole.labels[chosen])
        (loss,) = model.loss(model(batch), batch).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return Predictor(model, data.classes, (SIDE, SIDE), precision="f32")
