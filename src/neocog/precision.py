"""Arithmetic by name: f32, bf16, or whichever pays on this device."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from neocog.errors import UsageError

Precision = Literal["auto", "f32", "bf16"]
"""`bf16`: convolutions and matrix products read bfloat16; their sums, boxes and losses stay f32. `auto`: in
training, bf16 where the hardware has it; of a trained model, see `neocog.bf16_check`."""


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether to calculate in bf16; `auto` does where the hardware multiplies such matrices.

    Raises UsageError for any other word.
    """
    check_precision(precision)
    return precision == "bf16" or (precision == "auto" and supports_bf16(device))


def check_precision(precision: str) -> None:
    """Raise UsageError unless this is one of the names."""
    if precision not in get_args(Precision):
        raise UsageError(f"--precision {precision}: give {', '.join(get_args(Precision))}")


def supports_bf16(device: torch.device) -> bool:
    """Whether this device multiplies bf16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and probe is not None and bool(probe())
