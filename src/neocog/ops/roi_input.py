"""What the region poolings share: the check of their arguments, layout, memory, the choice of version."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

MOST_SAMPLES = 2.0**16  # of RoIAlign, per bin and axis: reached only by a box of half a million cells

AVERAGE = -1
"""Of position-sensitive pooling, in place of a number of samples: the average of the cells a bin touches."""

SHORTEST = 0.1
"""Least width and height in cells of a region that is averaged."""


def check_regions(features: Tensor, boxes: Tensor, batch_index: Tensor, output_size: tuple[int, int]) -> None:
    """Raise ValueError unless the shapes fit and every region names an image of the batch."""
    if features.ndim != 4 or boxes.ndim != 2 or boxes.shape[1] != 4 or batch_index.shape != boxes.shape[:1]:
        raise ValueError(
            "expected features (B, C, H, W), boxes (R, 4) and batch_index (R,), got "
            f"{tuple(features.shape)}, {tuple(boxes.shape)} and {tuple(batch_index.shape)}"
        )
    if batch_index.dtype != torch.int64:
        raise ValueError(f"expected an int64 batch_index, got {batch_index.dtype}")
    if min(output_size) < 1:
        raise ValueError(f"expected an output of at least one bin each way, got {output_size}")
    if use_kernels(features) and len(boxes):
        lowest, highest = (int(v) for v in batch_index.aminmax())
        if lowest < 0 or highest >= len(features):
            raise ValueError(f"batch_index {lowest} to {highest} for a batch of {len(features)}")


def use_kernels(tensor: Tensor) -> bool:
    """Whether Numba kernels can run: real numbers on a CPU, not a trace for export or compilation."""
    return tensor.device.type == "cpu" and not is_traced()


def is_traced() -> bool:
    """Whether this call only records what to do, without values."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore


def channels_last(tensor: Tensor) -> Tensor:
    """(N, C, H, W) as contiguous (N, H, W, C); no copy if it already lies so in memory."""
    return tensor.permute(0, 2, 3, 1).contiguous()


def divided(values: Tensor, count: int) -> Tensor:
    """`values / count`, rounded once on every device.

    On a GPU torch multiplies by the reciprocal of a plain number instead: a third of 9 cells, three times,
    then ends behind the ninth.
    """
    return values / values.new_full((), count)


def half_away(values: Tensor) -> Tensor:
    """The nearest whole numbers, halves away from zero: C's `round`."""
    whole = values.trunc()
    # torch.round takes halves to even; adding a half and flooring errs just below a half.
    return whole + (values - whole).abs().ge(0.5) * values.sign()


def huge(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """An uninitialised tensor in NumPy's memory.

    For large arrays NumPy asks the system for huge pages and torch does not: touching the 50 MB of a thousand
    regions of 7 x 7 x 256 for the first time takes 4 ms this way and 24 ms with `torch.empty`.
    """
    names = {torch.float32: np.float32, torch.float64: np.float64, torch.int32: np.int32}
    return torch.from_numpy(np.empty(shape, names[dtype]))
