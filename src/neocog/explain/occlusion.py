"""What a model loses when a part of the picture is hidden: a grey square slides over it.

Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2. The square has the backbone's mean colour, which is 0 to
the network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from PIL import Image
from torch import Tensor

from neocog.explain.receptive import over_pixels
from neocog.explain.scores import look, probability_of
from neocog.explain.subject import Choices, Shown, Subject
from neocog.pictures.maps import coloured, heated, scale_bar, stacked

AT_ONCE = 16
"""Pictures that go through the network together."""


def occlude(
    probability: Callable[[Tensor], Tensor],
    image: Tensor,
    fill: Tensor,
    square: int,
    step: int,
    at_once: int = AT_ONCE,
) -> Tensor:
    """How probable a finding is (rows, columns) with a square of the colour `fill` (3,) at each place.

    `image` (3, H, W). The centres of the squares are `step` pixels apart from (step / 2, step / 2) on; parts
    beyond the border fall away. `probability`: (N, 3, H, W) to (N,).
    """
    height, width = image.shape[-2:]
    centres = [(y + step / 2, x + step / 2) for y in range(0, height, step) for x in range(0, width, step)]
    values = []
    for start in range(0, len(centres), at_once):
        some = centres[start : start + at_once]
        hidden = image.repeat(len(some), 1, 1, 1)
        for one, (y, x) in zip(hidden, some, strict=True):
            top, left = round(y - square / 2), round(x - square / 2)
            one[:, max(top, 0) : top + square, max(left, 0) : left + square] = fill[:, None, None]
        values.append(probability(hidden).float().cpu())
    return torch.cat(values).view(-(-height // step), -(-width // step))


def occlusion(subject: Subject, choices: Choices) -> list[Shown]:
    """The probability of the best finding with each part hidden, and the picture tinted by what that costs.

    The square has a sixth of the longer side, and moves by half of itself.
    """
    finding = look(subject, choices.label, most=1).findings[0]
    height, width = subject.batch.sizes[0]
    square = max(4, round(max(height, width) / 6))
    step = max(2, square // 2)
    probability = probability_of(subject, finding)
    name = subject.classes[finding.label]
    whole = float(probability(subject.batch.images)[0])
    seen = _occlude_within(subject, probability, square, step)
    lost = ((whole - seen) / max(whole, 1e-12)).clamp(0, 1)
    cells = Image.fromarray(coloured(1 - seen.numpy(), 1.0, signed=False))  # what is active: where it falls
    scale = max(1, 384 // max(cells.size))
    unit = f"probability of '{name}' with the square here"
    large = cells.resize((cells.width * scale, cells.height * scale), Image.Resampling.NEAREST)
    heat = over_pixels(lost[None], (step, step), (step / 2, step / 2), (height, width))
    tint = subject.frame.sample_original(heat)[0].clamp(0, 1).numpy()
    record = {
        "class": name,
        "probability": whole,
        "square": square,
        "step": step,
        "lowest": float(seen.min()),
        "values": seen.tolist(),
    }
    return [
        Shown(
            "lost",
            f"The share of the probability of '{name}' ({whole:.2f}) that is lost with a grey square "
            f"of {square} pixels over each place.",
            heated(subject.pixels, tint, f"share of the probability of '{name}' that is lost"),
        ),
        Shown(
            "probability",
            f"The probability of '{name}' with the centre of the square at each place, {step} pixels apart; "
            f"{whole:.2f} without it.",
            stacked(large, scale_bar(1.0, unit, signed=False, width=large.width, ends=("1", "0"))),
            record,
        ),
    ]


def _occlude_within(
    subject: Subject, probability: Callable[[Tensor], Tensor], square: int, step: int
) -> Tensor:
    """`occlude` over the picture alone, not over what pads it."""
    images = subject.batch.images
    height, width = subject.batch.sizes[0]

    def padded(hidden: Tensor) -> Tensor:
        whole = images.repeat(len(hidden), 1, 1, 1)
        whole[:, :, :height, :width] = hidden
        return probability(whole.contiguous(memory_format=torch.channels_last))

    fill = subject.backbone.mean.flatten().expand(3).to(images)
    return occlude(padded, images[0, :, :height, :width], fill, square, step)
