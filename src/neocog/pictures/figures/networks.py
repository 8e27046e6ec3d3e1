"""Networks that say what a picture shows: those of the notes, and three of the zoo."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import nn

from neocog.backbones.notes import NotesPattern
from neocog.data.digits import Digits
from neocog.data.packing import collate
from neocog.ops.summary import Row, Summary, summarize
from neocog.pictures.axes import Axis, fit_scale
from neocog.pictures.figure import Still
from neocog.pictures.figures.photographs import credit, photograph
from neocog.pictures.maps import coloured
from neocog.pictures.shapes import arrow, note, values_picture, volume, volume_reach
from neocog.pictures.svg import Element, circle, group, path, pixels, rect, text
from neocog.types import blank_batch
from neocog.zoo import create

_STEPS, _LR = 40, 0.01  # half a second of training
_SHOWN = 1  # of the test digits


@cache
@torch.enable_grad()
def _trained_digit_net() -> nn.Module:
    """The notes' digit net, trained for a moment on scikit-learn's digits."""
    digits = Digits("train")
    batch = collate([digits[i] for i in range(len(digits))], stride=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = create("notes-digit", 10, side=28)
    optimizer = torch.optim.Adam(net.parameters(), _LR)
    for _ in range(_STEPS):
        loss = net.loss(net(batch), batch)["classes"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


@torch.no_grad()
def architecture_digits() -> Still:
    """The notes' net for digits: one picture on its way, with every map, and where the parameters are."""
    net, digits = _trained_digit_net(), Digits("test")
    batch = collate([digits[i] for i in range(len(digits))], stride=1)
    output = net(batch)
    right = float((output.logits.argmax(dim=1) == batch.labels).double().mean())
    maps = {name: made[_SHOWN].numpy() for name, made in output.features.maps.items()}
    scores = output.logits[_SHOWN].softmax(dim=0).numpy()
    rows = {row.name: row for row in summarize(net, blank_batch((28, 28))).rows}
    conv1, pool1, conv2 = (rows[f"backbone.{name}"] for name in maps)
    last = rows["head.1"]
    kernels = net.backbone.conv1.weight[:, 0].numpy()
    columns = (
        _Column("picture", "28 x 28", 0, batch.images[_SHOWN, :1].numpy()),
        _Column("5 kernels", "6 x 6, stride 2", 206, kernels, signed=True),
        _Column("maps", _size(conv1), 340, maps["conv1"], signed=True),
        _Column("pooled, ReLU", _size(pool1), 470, maps["pool1"]),
        _Column("maps", _size(conv2), 606, maps["conv2"]),
    )
    top, x_row, x_scores = 62.0, 712.0, 842.0
    high, end = 5 * _PITCH, x_row + 14
    bottom = top + high + 30
    parts: list[Element] = [_column(one, top) for one in columns]
    parts += [
        _head(x_row, "in a row", f"{maps['conv2'].size} numbers"),
        _head(x_scores, "digit", "probability"),
        *(
            note(x, bottom, _split(row), "parameters")
            for x, row in ((206, conv1), (606, conv2), (x_scores, last))
        ),
        note(
            0, bottom, f"trained for {_STEPS} steps; names {right:.0%}", f"of {len(batch)} new digits rightly"
        ),
        pixels(
            x_row,
            top,
            14,
            high,
            coloured(maps["conv2"].reshape(-1, 1), float(maps["conv2"].max()), signed=False),
        ),
    ]
    places = [top + (number + 0.5) * high / 10 for number in range(10)]
    edges = [[(end, top + (part + 0.5) * high / 4), (x_scores - 8, y)] for y in places for part in range(4)]
    parts.append(path(edges, style="fill:none;stroke:var(--grid)"))
    for digit, (y, score) in enumerate(zip(places, scores, strict=True)):
        best = score == scores.max()
        parts += [
            text(x_scores, y + 5, str(digit), class_="title" if best else None),
            rect(x_scores + 18, y - 9, 92 * score, 18, style=f"fill:var(--{'accent' if best else 'quiet'})"),
        ]
    for start, after in ((170, 200), (250, 330), (420, 460), (516, 596), (638, 702)):
        parts.append(arrow((start, top + high / 2), (after, top + high / 2)))
    alt = (
        f"A handwritten digit of 28 by 28 pixels becomes five maps of {conv1.shape[-1]} by {conv1.shape[-1]}, "
        f"pooled to {pool1.shape[-1]} by {pool1.shape[-1]}, then ten maps of {conv2.shape[-1]} by "
        f"{conv2.shape[-1]}, {maps['conv2'].size} numbers in a row, and ten probabilities, of which that of "
        f"{scores.argmax()} is the largest. The layers have {_split(conv1)}, {_split(conv2)} and {_split(last)} "
        "parameters."
    )
    counts = np.array([row.parameters for row in (conv1, conv2, last)])
    values = {**maps, "picture": batch.images[_SHOWN].numpy(), "kernels": kernels, "scores": scores}
    values |= {"parameters": counts, "right": np.array(right), "label": batch.labels[_SHOWN].numpy()}
    return Still("architecture-digits", alt, 960, bottom + 26, parts, values)


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
    rows = [row for row in _summary("notes-pattern", 10, side).rows if row.kind != "Dropout"]
    picture = photograph("flower", side)
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
            parts.append(note(x, 290, "7 x 7", f"{row.parameters:,}"))
        elif row is not None:
            parts.append(note(x, 290, "2 x 2"))
        x += max(wide + reach, 58) + 30
    scores, count = rows[-1], rows[-1].shape[1]
    for place in range(count):
        parts.append(circle((x + 12, middle + (place - (count - 1) / 2) * 13), 5, style="fill:var(--accent)"))
    parts += [
        note(x, 244, f"{count} scores", class_=None),
        note(x, 290, "dense", f"{scores.parameters:,}"),
        text(0, 20, "three times: convolution to 32 channels, ReLU, pooling", class_="title"),
        note(0, 40, "each block halves the sides; on the fronts one map of untrained filters"),
        note(0, 290, "kernel", "parameters"),
        note(0, 340, credit("flower")),
    ]
    alt = (
        f"Boxes to scale, from a photograph of {side} by {side} pixels and 3 channels over three blocks, each a "
        "convolution to 32 channels and a pooling that halves the sides, to a box of "
        f"{layers[-1].shape[2]} by {layers[-1].shape[3]} with {layers[-1].shape[1]} channels and {count} scores."
    )
    values = {"shapes": np.array(shapes), "parameters": np.array([row.parameters for row in rows])}
    values |= {name: one[0].numpy() for name, one in made.items()}
    return Still("architecture-three-blocks", alt, 960, 346, parts, values)


def _liveliest(maps: np.ndarray) -> np.ndarray:
    """Of maps (C, h, w) the one whose values differ most, in false colours."""
    one = maps[maps.std(axis=(1, 2)).argmax()]
    return coloured(one, float(np.quantile(one, 0.99)), signed=False)


ZOO = (
    ("lenet5", "LeNet-5, 1998", 10, 32),
    ("alexnet", "AlexNet, 2012", 1000, 224),
    ("vgg16", "VGG-16, 2015", 1000, 224),
)
"""Names, titles, classes and sides of the pictures of three networks."""


def zoo() -> Still:
    """Three networks at one scale: their layers, and how deep, large, slow and far-sighted they are."""
    summaries = [_summary(name, classes, side) for name, _, classes, side in ZOO]
    table = np.array([_measures(one) for one in summaries])
    pitch, top, x_bars = 168.0, 48.0, 490.0
    parts: list[Element] = []
    for place, ((_, title, _, side), summary) in enumerate(zip(ZOO, summaries, strict=True)):
        y = top + place * pitch
        parts += [text(0, y, title, class_="title"), _strip(summary, 0, y + 70)]
        parts.append(note(0, y + 132, f"{side} x {side} pixels"))
        for line_, (label, value, most) in enumerate(
            zip(_LABELS, table[place], table.max(axis=0), strict=True)
        ):
            low = y + 4 + line_ * 32
            scale = fit_scale(Axis("", log=True, lower=1), [most], x_bars, x_bars + 130, tight=True)
            parts += [
                note(x_bars - 10, low + 13, label, anchor="end"),
                rect(x_bars, low, max(scale(value) - x_bars, 1), 18, style="fill:var(--accent)"),
                note(scale(value) + 8, low + 13, _short(value), class_=None),
            ]
    legend = top + 3 * pitch - 8
    for place, (kind, said) in enumerate(
        (("quiet", "convolution"), ("axis", "pooling"), ("accent", "dense"))
    ):
        parts.append(rect(place * 130, legend - 11, 12, 12, style=f"fill:var(--{kind})"))
        parts.append(note(place * 130 + 18, legend, said))
    parts.append(note(x_bars - 10, legend, "bars on logarithmic scales"))
    alt = ""
    return Still("zoo", alt, 720, legend + 8, parts, {"table": table})


_LABELS = ("layers with weights", "parameters", "multiply-adds", "pixels a side seen")


def _measures(summary: Summary) -> tuple[int, int, int, int]:
    """Layers with weights, parameters, multiply-adds, and the receptive field of the last map."""
    deep = sum(row.parameters > 0 for row in summary.rows)
    seen = [row.field.size for row in summary.rows if row.field is not None][-1]
    return deep, summary.parameters, summary.multiply_adds, seen


def _strip(summary: Summary, x: float, middle: float) -> Element:
    """Every layer as a plate: as high as its map, as thick as it has channels."""
    parts = []
    for row in summary.rows:
        kind = {"Conv2d": "quiet", "MaxPool2d": "axis", "Linear": "accent"}.get(row.kind)
        if kind is None:
            continue
        flat = len(row.shape) == 2
        high = 0.012 * row.shape[1] + 6 if flat else row.shape[2] ** 0.5 * 7
        thick = 5.0 if flat else 2 + row.shape[1] / 40
        parts.append(rect(x, middle - high / 2, thick, high, style=f"fill:var(--{kind})"))
        x += thick + 4
    return group(*parts)


def _short(value: float) -> str:
    """In thousands, millions or thousand millions."""
    power = min((len(str(int(value))) - 1) // 3, 3)
    return f"{value / 1000**power:.3g}" + ("", " thousand", " million", " thousand million")[power]
