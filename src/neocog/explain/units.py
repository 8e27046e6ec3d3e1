"""A picture drawn again and again while one unit of its graphics code moves."""

from __future__ import annotations

import numpy as np
import torch

from neocog.data.solids import Solids
from neocog.data.solids_render import RANGES
from neocog.explain.graphics import decode, freest_intrinsic, moved, reach_of_units
from neocog.explain.subject import Choices, Shown, Subject
from neocog.pictures.graphics import unit_strips

PICTURES = 11
"""In a strip."""


@torch.inference_mode()
def units(subject: Subject, choices: Choices) -> list[Shown]:
    """Strips for the units of azimuth, elevation and light, and for the freest of the others or `unit`.

    Each goes from the 2nd to the 98th percentile of what the unit is over generated solids.
    """
    model, data = subject.model, Solids("test")
    code = model(subject.batch).mean[0].cpu()
    reach = reach_of_units(model, data)
    last = freest_intrinsic(model, data) if choices.unit is None else choices.unit
    rows = []
    for unit in dict.fromkeys((*range(len(RANGES)), last)):
        low, high = reach[unit]
        name = list(RANGES)[unit] if unit < len(RANGES) else f"unit {unit + 1}"
        rows.append(
            (
                f"{name}: {low:.2f} to {high:.2f}",
                decode(model, moved(code, unit, np.linspace(low, high, PICTURES))),
            )
        )
    caption = "One unit of the code moves in each row, and the decoder draws: the rest of the code stays."
    return [Shown("units", caption, unit_strips(rows), {"code": code.tolist()})]
