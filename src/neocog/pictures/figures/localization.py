"""A network with two heads: what the one object of a picture is, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from neocog.data.packing import collate
from neocog.data.scenes import Scenes
from neocog.ops.boxes import iou
from neocog.pictures.figure import Still
from neocog.pictures.shapes import arrow, cells, false_colours, note, number, spaced, values_picture, volume
from neocog.pictures.svg import Element, group, pixels, rect, text
from neocog.types import Task
from neocog.zoo import create

_SIDE, _SCENE, _TILE = 128, 4, 150.0


@torch.no_grad()
def two_headed_localization() -> Still:
    """A picture, its maps, and two heads on the last: scores of classes, and the corners of a box."""
    scenes = Scenes("single", "val", size=_SIDE, task=Task.LOCALIZE)
    batch = collate([scenes[_SCENE]], stride=1)
    assert batch.targets is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net: Any = create("localizer", scenes.classes, "compact", side=_SIDE).eval()
    output = net(batch)
    truth, label = batch.targets[0].boxes, int(batch.targets[0].labels[0])
    answer = net.decode(output, batch)[0]
    overlap = float(iou(answer.box[None], truth))
    losses = {name: float(value) for name, value in net.loss(output, batch).items()}
    maps = {name: made[0].numpy() for name, made in output.features.maps.items()}
    seen, code = maps[net.options.level], output.cells[0].numpy()
    mean = seen.mean(axis=(1, 2))
    top, middle, high_head, low_head = 96.0, 96.0 + _TILE / 2, 70.0, 298.0
    parts: list[Element] = [
        text(0, 20, "picture and box", class_="title"),
        note(0, 40, f"the true box, a {scenes.classes[label]},", "and dashed the first answer"),
        pixels(0, top, _TILE, _TILE, scenes[_SCENE].image, smooth=True),
        _framed(truth[0].numpy(), top, "var(--surface)", 5),
        _framed(truth[0].numpy(), top, "var(--accent)", 3),
        _framed(answer.box.numpy(), top, "var(--surface)", 2, "6 4"),
        text(190, 20, "one trunk", class_="title"),
        note(190, 40, "maps of an untrained network"),
    ]
    x = 190.0
    for made in maps.values():
        channels, side = len(made), 2.4 * made.shape[-1]
        liveliest = made[made.std(axis=(1, 2)).argmax()]
        parts += [
            volume(x, middle - side / 2, side, side, channels**0.5, face=false_colours(liveliest)),
            note(x, middle + 66, f"{made.shape[-1]} x {made.shape[-1]}", f"x {channels}"),
        ]
        x += max(side + 14, 62) + 18
    parts += [
        arrow((x - 26, middle - 26), (x + 14, high_head + 38), colour="var(--accent)", width=2),
        arrow((x - 26, middle + 26), (x + 14, low_head + 22), colour="var(--accent)", width=2),
        _head(x + 24, high_head, "what: its mean", f"{len(mean)} numbers", np.tile(mean, (8, 1))),
        _head(x + 24, low_head, "where: its cells", " x ".join(map(str, code.shape)), code.reshape(16, -1)),
    ]
    x_out = 700.0
    parts.append(_classes(answer.scores.numpy(), scenes.classes, label, x_out, 20))
    corners = np.stack([answer.box.numpy(), truth[0].numpy()]) / _SIDE
    parts += [
        text(x_out, 282, "box, in shares of the side", class_="title"),
        spaced(("x0", "y0", "x1", "y1"), x_out + 22, 304, 44),
        cells(corners, x_out, 312, side=44, limit=1.6, digits=2),
        note(x_out + 186, 339, "answer"),
        note(x_out + 186, 383, "truth"),
        note(0, 330, f"to learn from: {losses['classes']:.2f}, the cross-entropy of the class,"),
        note(0, 348, f"and {losses['boxes']:.2f}, smooth L1 of the corners"),
        note(0, 376, f"so far the boxes overlap with IoU {overlap:.2f}"),
    ]
    alt = (
        f"A scene with one main object, a {scenes.classes[label]}, in its true box; maps of one trunk; two "
        f"heads on the last: {len(mean)} means give {len(scenes.classes)} scores, and {code.size} values "
        "the corners of a box, which in an untrained network is the middle of the picture."
    )
    values = {"truth": truth[0].numpy(), "box": answer.box.numpy(), "scores": answer.scores.numpy()}
    values |= {"iou": np.array(overlap), "losses": np.array(list(losses.values())), "label": np.array(label)}
    values |= {"seen": seen, "mean": mean, "cells": code, "logits": output.logits[0].numpy()}
    return Still("two-headed-localization", alt, 940, 420, parts, values)


def _framed(box: np.ndarray, top: float, colour: str, width: float, dash: str | None = None) -> Element:
    """A box in pixels of the picture, on the picture."""
    x0, y0, x1, y1 = box * (_TILE / _SIDE)
    look = f"fill:none;stroke:{colour}"
    return rect(x0, top + y0, x1 - x0, y1 - y0, style=look, stroke_width=width, stroke_dasharray=dash)


def _head(x: float, y: float, title: str, said: str, shown: np.ndarray) -> Element:
    """What a head reads, and an arrow to what it says."""
    return group(
        text(x, y, title, class_="title"),
        note(x, y + 20, said),
        values_picture(shown, x, y + 30, 150),
        arrow((x + 158, y + 36), (x + 196, y + 36), colour="var(--accent)", width=2),
    )


def _classes(scores: np.ndarray, names: tuple[str, ...], label: int, x: float, y: float) -> Element:
    """A bar for every class, the true one in the accent."""
    parts: list[Element] = [text(x, y, "scores of the classes", class_="title")]
    for place, (name, score) in enumerate(zip(names, scores, strict=True)):
        low, colour = y + 10 + 19 * place, "accent" if place == label else "quiet"
        parts += [
            note(x + 66, low + 12, name, anchor="end", class_=None if place == label else "muted"),
            rect(x + 74, low + 1, 400 * score, 13, style=f"fill:var(--{colour})"),
            note(x + 82 + 400 * score, low + 12, number(float(score), 2), class_="muted"),
        ]
    return group(*parts)
