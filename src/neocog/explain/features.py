"""What a network computes of a picture, map by map, and the filters that it computes it with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from neocog.errors import UsageError
from neocog.explain.subject import Choices, Shown, Subject, chosen_unit, maps_of
from neocog.pictures.maps import map_sheet, signed_rgb, tile_sheet
from neocog.zoo import known

CHANNELS, FILTERS, INPUTS, LAYERS = 32, 64, 8, 4
"""At most so many channels of a map, filters of the first layer, filters and input channels of a deeper layer
(each), and deeper layers."""


@torch.no_grad()
def features(subject: Subject, choices: Choices) -> list[Shown]:
    """A sheet for each map of the backbone that the model computes, or for the chosen one.

    Its channels of the largest mean absolute value are shown, the strongest first, on one scale that ends at
    the 99.5th percentile of what is shown. Maps that go below 0 have signed colours.
    """
    maps = maps_of(subject.model, subject.batch).maps
    names = list(maps) if choices.level is None else [known(choices.level, maps, "feature map")]
    return [_sheet(subject, name, maps[name][0].float(), choices.unit) for name in names]


def _sheet(subject: Subject, name: str, cells: Tensor, unit: int | None) -> Shown:
    channels, rows, columns = cells.shape
    if unit is None:
        chosen = strongest(cells, CHANNELS)
    else:
        chosen = torch.tensor([chosen_unit(subject.backbone, name, unit)])
    shown = cells[chosen].cpu().numpy()
    signed = bool((cells < 0).any())
    limit = float(np.quantile(np.abs(shown), 0.995)) or float(np.abs(shown).max())
    silent = int((cells.abs().amax(dim=(1, 2)) == 0).sum())
    unit_text = f"activation of {name}, no unit"
    picture = map_sheet(shown, [str(int(one)) for one in chosen], limit, unit_text, signed=signed)
    stride = subject.backbone.strides[name]
    caption = (
        f"{name}: {len(chosen)} of {channels} channels by mean absolute activation, numbered as in the "
        f"network; {rows} x {columns} cells, one every {stride} pixels. {silent} channels are 0 everywhere."
    )
    record = {"level": name, "channels": chosen.tolist(), "silent": silent, "limit": limit}
    return Shown(name, caption, picture, record)


def strongest(cells: Tensor, most: int) -> Tensor:
    """Numbers of the channels of a map (C, h, w) with the largest mean absolute value, the largest first."""
    order = cells.abs().mean(dim=(1, 2)).argsort(descending=True, stable=True)
    return order[:most].cpu()


@torch.no_grad()
def filters(subject: Subject, choices: Choices) -> list[Shown]:
    """The first layer's filters as patches of colour, and some deeper layers input channel by input channel.

    A colour filter is divided by the root mean square of its weights, so that 0 is grey and three times the
    RMS is black or white. BatchNorm is folded into the weights. Of deeper layers, those with kernels above
    1x1, spread evenly, the filters and input channels with the largest weights are shown. Layers that the
    model does not run are left out. Raises UsageError where there are none.
    """
    with _Convolutions() as ran:
        maps_of(subject.model, subject.batch)
    layers = [
        (name, layer.weight.float())
        for name, layer in subject.backbone.named_modules()
        if isinstance(layer, nn.Conv2d) and max(layer.kernel_size) > 1 and id(layer.weight) in ran.weights
    ]
    if not layers:
        raise UsageError("the backbone has no convolution larger than 1x1: there are no filters to show")
    first = [_colour_filters(*layers.pop(0))] if layers[0][1].shape[1] in (1, 3) else []
    places = np.linspace(0, len(layers) - 1, min(LAYERS, len(layers)))
    return first + [_tiles(*layers[round(place)]) for place in places]


class _Convolutions(TorchFunctionMode):
    """Notes which weights convolutions run with: a detector may leave a part of its backbone unused."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: set[int] = set()

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is F.conv2d:
            self.weights.add(id(args[1]))
        return func(*args, **(kwargs or {}))


def normalised(weight: Tensor) -> Tensor:
    """Filters (N, C, h, w), each divided by the root mean square of its weights; a filter of zeros stays."""
    rms = weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return weight / torch.where(rms > 0, rms, 1.0)


def _colour_filters(name: str, weight: Tensor) -> Shown:
    count, inputs, height, width = weight.shape
    patches = normalised(weight)[:FILTERS].cpu()
    if inputs == 3:
        colours = [signed_rgb(one.permute(1, 2, 0).numpy(), 3.0) for one in patches]
        tiles = [Image.fromarray(one) for one in colours]
        picture = tile_sheet(tiles, [str(one) for one in range(len(tiles))], side=64)
    else:
        unit = "weight over the filter's RMS"
        labels = [str(one) for one in range(len(patches))]
        picture = map_sheet(patches.mean(dim=1).numpy(), labels, 3.0, unit, signed=True)
    caption = (
        f"{name}: {len(patches)} of {count} filters of {height} x {width} pixels, each divided by the root "
        "mean square of its weights; grey is 0."
    )
    return Shown(f"filters {name}", caption, picture, {"layer": name, "filters": len(patches)})


def _tiles(name: str, weight: Tensor) -> Shown:
    count, inputs, height, width = weight.shape
    strength = weight.square().mean(dim=(2, 3))
    chosen = strength.sum(dim=1).argsort(descending=True, stable=True)[:INPUTS]
    tiles, labels = [], []
    for out in chosen.tolist():
        for channel in strength[out].argsort(descending=True, stable=True)[:INPUTS].tolist():
            tiles.append(normalised(weight[out : out + 1])[0, channel])
            labels.append(f"{channel} to {out}")
    shown = torch.stack(tiles).cpu().numpy()
    limit = float(np.abs(shown).max())
    picture = map_sheet(
        shown, labels, limit, "weight over its filter's RMS", signed=True, columns=min(INPUTS, inputs)
    )
    caption = (
        f"{name}: the {len(chosen)} of {count} filters of {height} x {width} cells with the largest weights, "
        f"a row each, and in each the {min(INPUTS, inputs)} input channels of {inputs} that weigh most."
    )
    return Shown(f"filters {name}", caption, picture, {"layer": name, "filters": chosen.tolist()})
