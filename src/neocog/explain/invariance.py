"""How much the maps of a network change when the picture is shifted, and what pooling has to do with it.

A convolution follows a shift; max-pooling hides one as long as the maximum stays in its window, which every
second cell of the same map, taken without pooling, does not. Both have the same size and see the same, so
what lies between them is the invariance that pooling brings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neocog.explain.subject import Choices, Shown, Subject, maps_of, with_images
from neocog.pictures.axes import Axis
from neocog.pictures.charts import Curve, line_chart
from neocog.zoo import known

SHIFTS = tuple(range(9))
"""Pixels of the network's input, to the right."""


@dataclass(frozen=True, slots=True)
class Change:
    """How far maps of a shifted picture are from those of the picture, for each shift."""

    distance: tuple[float, ...]  # |B - A| / |A|, euclidean
    cosine: tuple[float, ...]  # of the angle between them
    same: tuple[float, ...]  # share of values that differ by no more than a thousandth of the largest


def shifted(images: Tensor, shift: int) -> Tensor:
    """Pictures (B, C, H, W) moved to the right by so many pixels; their left column fills the gap."""
    width = images.shape[-1]
    return F.pad(images, (shift, 0, 0, 0), mode="replicate")[..., :width] if shift else images


def change(maps: list[Tensor]) -> Change:
    """Maps of one size, the first that of the picture itself."""
    first = maps[0].flatten().double()
    norm, most = first.norm().clamp(min=1e-12), 1e-3 * first.abs().max()
    rest = [one.flatten().double() for one in maps]
    return Change(
        tuple(float((one - first).norm() / norm) for one in rest),
        tuple(float(F.cosine_similarity(one, first, dim=0)) for one in rest),
        tuple(float(((one - first).abs() <= most).double().mean()) for one in rest),
    )


@torch.no_grad()
def invariance(subject: Subject, choices: Choices) -> list[Shown]:
    """Charts over the shift in pixels: the change of every map, and pooling against striding.

    The second takes the chosen map, or the first.
    """
    images, batch = subject.batch.images, subject.batch
    seen = [maps_of(subject.model, with_images(batch, shifted(images, one))).maps for one in SHIFTS]
    names = list(seen[0])
    level = names[0] if choices.level is None else known(choices.level, names, "feature map")
    changes = {name: change([one[name][0] for one in seen]) for name in names}
    own = [one[level][0] for one in seen]
    against = {
        f"{level} itself": changes[level],
        "its 2x2 max-pool": change([F.max_pool2d(one, 2) for one in own]),
        "its every second cell": change([one[:, ::2, ::2] for one in own]),
    }
    strides = subject.backbone.strides
    labelled = {f"{name} (1/{strides[name]})": one for name, one in changes.items()}
    return [
        _chart("maps", "Change of each map", labelled, cosine=False),
        _chart("maps cosine", "Likeness of each map to itself", labelled, cosine=True),
        _chart("pooling", f"{level}: pooled, and thinned without pooling", against, cosine=False),
        _chart("pooling cosine", f"{level}: pooled, and thinned without pooling", against, cosine=True),
    ]


def _chart(name: str, title: str, changes: dict[str, Change], *, cosine: bool) -> Shown:
    values = {one: found.cosine if cosine else found.distance for one, found in changes.items()}
    unit = "cosine with the map of the unshifted picture" if cosine else "distance over the map's norm"
    svg = line_chart(
        title,
        [Curve(one, SHIFTS, found) for one, found in values.items()],
        Axis("shift of the picture (px)", lower=0),
        Axis(unit, upper=1.0) if cosine else Axis(unit, lower=0.0),
    )
    last = {one: found[-1] for one, found in values.items()}
    most, least = max(last, key=last.__getitem__), min(last, key=last.__getitem__)
    caption = (
        f"{title} when the picture is shifted to the right, {unit}. At {SHIFTS[-1]} pixels it is "
        f"{last[most]:.2f} for {most} and {last[least]:.2f} for {least}."
    )
    record = {"shifts": list(SHIFTS), "values": {one: list(found) for one, found in values.items()}}
    if not cosine:
        record["same"] = {one: list(found.same) for one, found in changes.items()}
    return Shown(name, caption, svg, record)
