"""Networks that say what a picture shows: those of the notes, and three of the zoo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from neocog.backbones.notes import NotesPattern
from neocog.data.digits import Digits
from neocog.data.packing import collate
from neocog.ops.summary import Row, Summary, summarize
from neocog.pictures.figure import Still
from neocog.pictures.figures.samples import credit, square
from neocog.pictures.shapes import arrow, false_colours, note, values_picture, volume, volume_reach
from neocog.pictures.svg import Element, circle, group, path, pixels, rect, text
from neocog.types import blank_batch
from neocog.zoo import create

_STEPS, _LR = 40, 0.01  # half a second of training


@cache
@torch.enable_grad()
def _trained_digit_net() -> nn.Module:
    """The notes' digit net, trained for a moment on scikit-learn's digits."""
    digits = Digits("train")
    batch = collate([digits[i] for i in range(len(digits))], stride=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net: Any = create("notes-digit", 10, side=28)
    optimizer = torch.optim.Adam(net.parameters(), _LR)
    for _ in range(_STEPS):
        loss = net.loss(net(batch), batch)["classes"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trained: nn.Module = net.eval()
    return trained


@torch.no_grad()
def architecture_digits() -> Still:
    """The notes' net for digits: one picture on its way, with every map, and where the parameters are."""
    net: Any = _trained_digit_net()
    digits = Digits("test")
    batch = collate([digits[i] for i in range(len(digits))], stride=1)
    assert batch.labels is not None
    output = net(batch)
    right = output.logits.argmax(dim=1) == batch.labels
    shown = int(right.nonzero()[0])
    maps = {name: made[shown].numpy() for name, made in output.features.maps.items()}
    scores = output.logits[shown].softmax(dim=0).numpy()
    rows = {row.name: row for row in summarize(net, blank_batch((28, 28))).rows}
    conv1, pool1, conv2 = (rows[f"backbone.{name}"] for name in maps)
    last = rows["head.1"]
    first = net.backbone.conv1
    kernels = first.weight[:, 0].numpy()
    geometry = f"{first.kernel_size[0]} x {first.kernel_size[1]}, stride {first.stride[0]}"
    columns = (
        _Column("picture", "28 x 28", 0, batch.images[shown, :1].numpy()),
        _Column(f"{len(kernels)} kernels", geometry, 206, kernels, signed=True),
        _Column("maps", _size(conv1), 340, maps["conv1"], signed=True),
        _Column("pooled, ReLU", _size(pool1), 470, maps["pool1"]),
        _Column("maps", _size(conv2), 606, maps["conv2"]),
    )
    top, x_row, x_scores, high = 62.0, 712.0, 842.0, 5 * _PITCH
    bottom, middle = top + high + 30, top + high / 2
    counts = {206.0: conv1, 606.0: conv2, x_scores: last}
    said = f"trained for {_STEPS} steps: {right.double().mean():.0%}"
    parts: list[Element] = [
        *(_column(one, top) for one in columns),
        *(note(x, bottom, _split(row), "parameters") for x, row in counts.items()),
        note(0, bottom, said, f"of {len(batch)} new digits", "are named rightly"),
        _head(x_row, "in a row", f"{maps['conv2'].size} numbers"),
        pixels(x_row, top, 14, high, false_colours(maps["conv2"].reshape(-1, 1))),
        _head(x_scores, "digit", "probability"),
        _answers(scores, x_row + 14, x_scores, top, high),
    ]
    for start, end in ((170, 200), (250, 330), (420, 460), (516, 596), (638, 702)):
        parts.append(arrow((start, middle), (end, middle)))
    alt = (
        f"A handwritten digit of 28 by 28 pixels becomes five maps {conv1.shape[-1]} by {conv1.shape[-1]}, "
        f"pooled to {pool1.shape[-1]} by {pool1.shape[-1]}, then ten maps of {conv2.shape[-1]} by "
        f"{conv2.shape[-1]}, {maps['conv2'].size} numbers in a row, and ten probabilities, of which that of "
        f"{scores.argmax()} is the largest. Parameters: {_split(conv1)}, {_split(conv2)} and {_split(last)}."
    )
    values = {**maps, "picture": batch.images[shown].numpy(), "kernels": kernels, "scores": scores}
    values |= {
        "parameters": np.array([row.parameters for row in counts.values()]),
        "right": right.numpy(),
        "label": batch.labels[shown].numpy(),
    }
    return Still("architecture-digits", alt, 960, bottom + 44, parts, values)


def _answers(scores: np.ndarray, start: float, x: float, top: float, high: float) -> Element:
    """The probability of each digit as a bar, and lines to it from the row of numbers."""
    places = [top + (number + 0.5) * high / len(scores) for number in range(len(scores))]
    sources = [top + (part + 0.5) * high / 4 for part in range(4)]
    edges = [[(start, source), (x - 8, y)] for y in places for source in sources]
    parts = [path(edges, style="fill:none;stroke:var(--grid)")]
    for digit, (y, score) in enumerate(zip(places, scores, strict=True)):
        best = score == scores.max()
        parts += [
            text(x, y + 5, str(digit), class_="title" if best else None),
            rect(x + 18, y - 9, 92 * score, 18, style=f"fill:var(--{'accent' if best else 'quiet'})"),
        ]
    return group(*parts)


@dataclass(frozen=True)
class _Column:
    """Maps below each other, at one scale."""

    title: str
    said: str
    x: float
    maps: np.ndarray
    signed: bool = False


_CELL, _PITCH = 6.0, 84.0  # pixels of a cell; and from map to map where there are five


def _head(x: float, title: str, said: str) -> Element:
    return group(text(x, 20, title, class_="title"), note(x, 40, said))


def _column(column: _Column, top: float) -> Element:
    rise, limit = 5 * _PITCH / len(column.maps), float(np.abs(column.maps).max())
    parts = [_head(column.x, column.title, column.said)]
    for place, values in enumerate(column.maps):
        side = _CELL * len(values)
        y = top + (place + 0.5) * rise - side / 2
        parts.append(values_picture(values, column.x, y, side, limit=limit, signed=column.signed))
    return group(*parts)


def _size(row: Row) -> str:
    """Channels and cells of what a layer makes."""
    return " x ".join(map(str, row.shape[1:]))


def _square(layer: nn.Conv2d | nn.MaxPool2d) -> str:
    """The kernel of a convolution or pooling."""
    side = layer.kernel_size if isinstance(layer.kernel_size, int) else layer.kernel_size[0]
    return f"{side} x {side}"


def _split(row: Row) -> str:
    """Weights and biases of a layer, which has a bias for every channel that it makes."""
    return f"{row.parameters - row.shape[1]:,} + {row.shape[1]:,}"


def _summary(name: str, classes: int, side: int) -> Summary:
    """Of a network of the zoo, without the cost of its weights."""
    with torch.device("meta"):
        net = create(name, classes, side=side)
    return summarize(net, blank_batch((side, side)).to(torch.device("meta")))


@torch.no_grad()
def architecture_three_blocks() -> Still:
    """The notes' pattern: three times 7x7 convolution, ReLU and pooling, as boxes to scale."""
    side = 128
    rows = [row for row in _summary("notes-pattern", 3, side).rows if row.kind != "Dropout"]
    picture = square("flower", side)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = NotesPattern().eval()
    made = backbone(torch.from_numpy(picture / 255).float().permute(2, 0, 1)[None]).maps
    layers = [row for row in rows if len(row.shape) == 4]
    faces = [picture, *(_liveliest(one[0].numpy()) for one in made.values())]
    shapes = [(3, side, side), *(row.shape[1:] for row in layers)]
    x, middle = 0.0, 150.0
    parts: list[Element] = []
    for number, (face, (channels, high, wide)) in enumerate(zip(faces, shapes, strict=True)):
        reach, _ = volume_reach(channels * 0.5)
        row = layers[number - 1] if number else None
        colour = "var(--accent)" if row is not None and row.kind == "Conv2d" else "var(--quiet)"
        parts += [
            volume(x, middle - high / 2, wide, high, channels * 0.5, face=face, colour=colour),
            note(x, 244, f"{high} x {wide}", f"x {channels}", class_=None),
        ]
        if row is not None and row.kind == "Conv2d":
            parts.append(note(x, 290, _square(backbone.conv1), f"{row.parameters:,}"))
        elif row is not None:
            parts.append(note(x, 290, _square(backbone.pool)))
        x += max(wide + reach, 58) + 30
    scores, count = rows[-1], rows[-1].shape[1]
    for place in range(count):
        parts.append(circle((x + 12, middle + (place - (count - 1) / 2) * 13), 5, style="fill:var(--accent)"))
    parts += [
        note(x, 244, f"{count} scores", class_=None),
        note(x, 290, "dense", f"{scores.parameters:,}"),
        text(0, 20, "three times: convolution to 32 channels, ReLU, pooling", class_="title"),
        note(
            0,
            40,
            "blue sides: after a convolution; on the fronts one map of untrained filters",
        ),
        note(0, 290, "kernel", "parameters"),
        note(0, 340, credit("flower")),
    ]
    alt = (
        f"Boxes to scale, from a photograph of {side} by {side} pixels over three blocks, each a "
        "convolution to 32 channels and a pooling that halves the sides, to a box of "
        f"{_size(layers[-1])}, and {count} scores."
    )
    values = {"shapes": np.array(shapes), "parameters": np.array([row.parameters for row in rows])}
    values |= {name: one[0].numpy() for name, one in made.items()}
    return Still("architecture-three-blocks", alt, 960, 346, parts, values)


def _liveliest(maps: np.ndarray) -> np.ndarray:
    """Of maps (C, h, w) the one whose values differ most, in false colours."""
    one = maps[maps.std(axis=(1, 2)).argmax()]
    return false_colours(one, limit=float(np.quantile(one, 0.99)))


ZOO = (
    ("lenet5", "LeNet-5, 1998", 10, 32),
    ("alexnet", "AlexNet, 2012", 1000, 224),
    ("vgg16", "VGG-16, 2015", 1000, 224),
)
"""Names, titles, classes and sides of the pictures of three networks."""

_KINDS = {"Conv2d": "accent", "MaxPool2d": "quiet", "Linear": "series-1"}


def zoo() -> Still:
    """Three networks at one scale: their layers, and how deep, large, slow and far-sighted they are."""
    summaries = [_summary(name, classes, side) for name, _, classes, side in ZOO]
    table = np.array([_measures(one) for one in summaries])
    most, pitch, top, x_bars, wide = table.max(axis=0), 160.0, 20.0, 500.0, 110.0
    parts: list[Element] = []
    for place, ((_, title, _, side), summary) in enumerate(zip(ZOO, summaries, strict=True)):
        y = top + place * pitch
        parts += [text(0, y, title, class_="title"), _strip(summary, 0, y + 72)]
        parts.append(note(130, y, f"{side} x {side} pixels"))
        lengths = wide * np.log(table[place]) / np.log(most)
        for row, (label, value, length) in enumerate(zip(_LABELS, table[place], lengths, strict=True)):
            low = y + 4 + row * 32
            parts += [
                note(x_bars - 10, low + 13, label, anchor="end"),
                rect(x_bars, low, length, 18, style="fill:var(--accent)"),
                note(x_bars + length + 8, low + 13, _short(int(value)), class_=None),
            ]
    legend = top + 3 * pitch + 6
    for place, (kind, said) in enumerate(
        zip(_KINDS.values(), ("convolution", "pooling", "dense"), strict=True)
    ):
        parts.append(rect(place * 120, legend - 11, 12, 12, style=f"fill:var(--{kind})"))
        parts.append(note(place * 120 + 18, legend, said))
    parts.append(note(x_bars, legend, "bars are logarithmic"))
    rows = [
        f"{title}: {deep} layers, {_short(weights)} parameters, {_short(work)} multiply-adds, sees {seen} px"
        for (_, title, _, _), (deep, weights, work, seen) in zip(ZOO, table.tolist(), strict=True)
    ]
    alt = "Networks as plates, as high as their maps and as thick as they have channels. " + "; ".join(rows)
    return Still("zoo", alt, 720, legend + 8, parts, {"table": table})


_LABELS = ("layers with weights", "parameters", "multiply-adds", "receptive field, px")


def _measures(summary: Summary) -> tuple[int, int, int, int]:
    """Layers with weights, parameters, multiply-adds, and the receptive field of the last map."""
    deep = sum(row.parameters > 0 for row in summary.rows)
    seen = [row.field.size for row in summary.rows if row.field is not None][-1]
    return deep, summary.parameters, summary.multiply_adds, seen


def _strip(summary: Summary, x: float, middle: float) -> Element:
    """Every layer as a plate: as high as its map, as thick as it has channels."""
    parts = []
    for row in summary.rows:
        if row.kind not in _KINDS:
            continue
        flat = len(row.shape) == 2
        high = 6 + row.shape[1] / 50 if flat else 7 * row.shape[2] ** 0.5
        thick = 6.0 if flat else 3 + row.shape[1] / 40
        parts.append(rect(x, middle - high / 2, thick, high, style=f"fill:var(--{_KINDS[row.kind]})"))
        x += thick + 4
    return group(*parts)


def _short(value: int) -> str:
    """In thousands or millions."""
    power = min((len(str(value)) - 1) // 3, 2)
    short = value / 1000**power
    return (f"{short:.3g}" if short < 1000 else f"{short:,.0f}") + ("", " thousand", " million")[power]
