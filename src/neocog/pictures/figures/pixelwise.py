"""Networks that name every pixel: FCN with its skips, DeconvNet with its mirror image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from neocog.data.scenes import Scenes
from neocog.ops.pool import max_pool, unpool
from neocog.parts.upsample import Upsample
from neocog.pictures.figure import Still
from neocog.pictures.figures.samples import credit, grey, square
from neocog.pictures.shapes import arrow, note, values_picture, volume
from neocog.pictures.svg import Element, circle, path, pixels, text
from neocog.types import Task, blank_batch
from neocog.zoo import create

_SIDE, _CLASSES = 224, 21
_META = torch.device("meta")  # shapes, without the cost of weights
_SCENE = 2  # of the validation scenes


def fcn_architecture() -> Still:
    """VGG-16 as convolutions alone, and three ways from its coarse scores to the picture's size."""
    with _META:
        net: Any = create("fcn-8s", _CLASSES, "vgg16", side=_SIDE)
    output = net(blank_batch((_SIDE, _SIDE)).to(_META))
    trunk = {name: made.shape[1:] for name, made in output.features.maps.items() if "pool" in name}
    trunk["fc7"] = output.deepest.shape[1:]
    scored = {name: made.shape[1:] for name, made in output.scores.items()}
    last, between = [one.factor for one in net.lasts], [one.factor for one in net.steps]
    picture, told, agree = _told_by(last)
    top, x_sum, x_out, pitch = 110.0, 668.0, 800.0, 138.0
    xs = dict(zip(trunk, (170.0, 274.0, 366.0, 456.0, 546.0, x_sum), strict=True))
    parts: list[Element] = [
        text(0, 20, "VGG-16, as convolutions alone", class_="title"),
        pixels(0, top - 48, 96, 96, picture, smooth=True),
        note(48, top + 70, f"{_SIDE} x {_SIDE}", "picture", anchor="middle"),
    ]
    for name, x in xs.items():
        side = f"{trunk[name][1]} x {trunk[name][2]}"
        parts += [_box(trunk[name], x, top), note(x, top + 70, side, name, anchor="middle")]
    for number, level in enumerate(scored):
        source = level if number else "fc7"
        x, y = xs[source], top + 186 + pitch * number
        parts += [
            arrow((x, top + 96), (x, y - 22)),
            text(0, y - 4, f"FCN-{last[number]}s", class_="title"),
            note(0, y + 16, f"{'adds the' if number else 'the'} scores of {source}"),
            _box(scored[level], x, y, colour="var(--accent)", front="var(--accent)"),
            note(x, y + 36, f"{scored[level][1]} x {scored[level][2]}", anchor="middle"),
            arrow((x_sum + 26, y), (x_out - 10, y), colour="var(--accent)", width=2),
            note((x_sum + x_out) / 2 + 6, y - 10, f"x {last[number]}", anchor="middle", class_="title"),
            pixels(x_out, y - 48, 96, 96, told[number], smooth=True),
            note(x_out, y + 66, f"IoU {agree[number]:.2f}"),
        ]
        if number:
            parts += [
                arrow((x + 26, y), (x_sum - 16, y)),
                arrow(
                    (x_sum, y - pitch + (46 if number == 1 else 18)),
                    (x_sum, y - 16),
                    colour="var(--accent)",
                    width=2,
                ),
                note(x_sum + 12, y - 44, f"x {between[number - 1]}", class_="title"),
                circle((x_sum, y), 12, style="fill:var(--surface);stroke:var(--accent)", stroke_width=2),
                note(x_sum, y + 5, "+", anchor="middle", class_="title"),
            ]
    low = top + 186 + pitch * len(scored) - 30
    said = "right: the truth as cells of that size tell it, by the share of each class in a cell, enlarged"
    parts.append(note(0, low, said))
    alt = (
        f"Boxes for the maps of VGG-16, to 7 by 7. FCN-{last[0]}s enlarges the scores of the "
        f"last map {last[0]} times; FCN-{last[1]}s enlarges them {between[0]} times, adds those of pool4, "
        f"and enlarges the sum {last[1]} times; FCN-{last[2]}s adds those of pool3 too and enlarges it "
        f"{last[2]} times. The outlines that cells of these sizes can tell become finer."
    )
    values = {name: np.array(shape) for name, shape in trunk.items()}
    values |= {f"scores {name}": np.array(shape) for name, shape in scored.items()}
    values |= {"last": np.array(last), "between": np.array(between), "iou": np.array(agree)}
    return Still("fcn-architecture", alt, 960, low + 6, parts, values)


def _box(
    shape: Sequence[int],
    x: float,
    y: float,
    *,
    colour: str = "var(--quiet)",
    front: str = "var(--surface)",
    unit: float = 6.4,
) -> Element:
    """Maps (C, h, w) as a box with its front around (x, y); sides and depth by their square roots."""
    side, deep = unit * shape[1] ** 0.5, shape[0] ** 0.5 / 3
    return volume(x - side / 2, y - side / 2, side, side, deep, colour=colour, front=front)


def _told_by(strides: Sequence[int]) -> tuple[np.ndarray, list[np.ndarray], list[float]]:
    """A scene; its objects cut out as cells of each stride tell them, both at half the size; and the IoU.

    A cell tells which share of it each class has, and the shares are enlarged to pixels.
    """
    sample = Scenes("std", "val", size=_SIDE, task=Task.SEGMENT)[_SCENE]
    assert sample.mask is not None
    truth = torch.from_numpy(np.asarray(sample.mask, np.int64))
    shares = F.one_hot(truth).permute(2, 0, 1)[None].float()
    pictures, overlaps = [], []
    for stride in strides:
        coarse = F.avg_pool2d(shares, stride)
        said = Upsample(shares.shape[1], stride)(coarse)[0].argmax(dim=0)
        pictures.append(np.where((said > 0).numpy()[..., None], sample.image, np.uint8(235))[::2, ::2])
        both, any_ = (said == truth) & (truth > 0), (said > 0) | (truth > 0)
        overlaps.append(float(both.sum() / any_.sum()))
    return sample.image[::2, ::2], pictures, overlaps


def deconvnet_architecture() -> Still:
    """DeconvNet's encoder, its mirror image, and the switches that pass from one to the other."""
    with _META:
        net: Any = create("deconvnet", _CLASSES, "vgg16", side=_SIDE)
    output = net(blank_batch((_SIDE, _SIDE)).to(_META))
    depth, made = len(net.blocks), output.decoded
    shapes = {"picture": (3, _SIDE, _SIDE)}
    shapes |= {f"pool{k}": output.features.maps[f"pool{k}"].shape[1:] for k in range(1, depth + 1)}
    shapes |= {"fc7": output.code.shape[1:], "deconv_fc6": made["deconv_fc6"].shape[1:]}
    shapes |= {f"deconv{k}": made[f"deconv{k}"].shape[1:] for k in range(depth, 0, -1)}
    middle, pitch, tile, low = 208.0, 73.0, 62.0, 330.0
    xs = {name: 33 + pitch * place for place, name in enumerate(shapes)}
    parts: list[Element] = [
        text(0, 20, "VGG-16 down to one cell", class_="title"),
        text(xs["fc7"] + 40, 20, "and its mirror image back to every pixel", class_="title"),
        note(xs["fc7"], 66, "switches", anchor="middle"),
    ]
    down, back = _through_pools(depth)
    for name, shape in shapes.items():
        x, colour = xs[name], "var(--accent)" if name.startswith("deconv") else "var(--quiet)"
        kind = name.replace("_fc", "")
        parts += [
            _box(shape, x, middle, colour=colour, unit=4.2),
            note(
                x, middle + 54, f"{shape[1]} x {shape[2]}", f"x {shape[0]}", anchor="middle", class_="small"
            ),
            note(x, middle + 92, kind, anchor="middle", class_="muted"),
        ]
    for k in range(1, depth + 1):
        y, start, end = 60.0 + 18 * k, xs[f"pool{k}"], xs[f"deconv{k}"]
        foot = [middle - 2.1 * shapes[name][1] ** 0.5 - 8 for name in (f"pool{k}", f"deconv{k}")]
        runs = [[(start, foot[0]), (start, y), (end, y), (end, foot[1] - 6)]]
        parts += [
            path(runs, style="fill:none;stroke:var(--muted)", stroke_width=1.2),
            arrow((end, foot[1] - 12), (end, foot[1])),
        ]
    x = xs["picture"] - 2.1 * _SIDE**0.5
    side = 4.2 * _SIDE**0.5
    parts.append(pixels(x, middle - side / 2, side, side, square("china", 64), smooth=True))
    for name, shown in {**down, **back}.items():
        parts.append(values_picture(shown, xs[name] - tile / 2, low, tile, limit=1.0))
    parts += [
        note(
            0,
            low + tile + 22,
            "a photograph of 64 x 64, pooled again and again, and each result put back by its switches;",
        ),
        note(0, low + tile + 40, "what is still empty the convolutions learn to fill"),
        note(0, low + tile + 62, credit("china")),
    ]
    alt = (
        f"Boxes that shrink from {_SIDE} by {_SIDE} over five poolings to one cell of {shapes['fc7'][0]} "
        "channels, and grow again in the same steps. From every pooling an arrow with its switches leads to "
        "the unpooling of its size. Below, a photograph pooled five times, and unpooled to dots in place."
    )
    values = {name: np.array(shape) for name, shape in shapes.items()}
    values |= {f"shown {name}": shown for name, shown in {**down, **back}.items()}
    return Still("deconvnet-architecture", alt, 960, low + tile + 68, parts, values)


def _through_pools(depth: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A photograph under so many max-poolings, and each pooled one put back by its own switches."""
    maps = torch.from_numpy(grey(square("china", 2 * 2**depth)))[None, None]
    down, back = {"picture": maps}, {}
    for k in range(1, depth + 1):
        pooled, switches = max_pool(maps, 2)
        down[f"pool{k}"] = pooled
        back[f"deconv{k}"] = unpool(pooled, switches, (maps.shape[2], maps.shape[3]))
        maps = pooled
    shown, put = ({name: one[0, 0].numpy() for name, one in some.items()} for some in (down, back))
    return shown, put
