"""What a forward pass does, operator by operator: multiply-adds, windows, receptive fields, what reads what.

A tensor that depends on the image carries a `Trace` as an attribute. One without is a constant, and
constrains nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neocog.ops.arithmetic import Field

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Window:
    """The options of a convolution or pooling, one number an axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool = False

    def after(self, field: Field) -> Field | None:
        """The receptive field of its output; None if the axes differ, or if it is transposed."""
        options = self.kernel, self.stride, self.padding, self.dilation
        if self.transposed or any(len(set(option)) != 1 for option in options):
            return None
        return field.then(*(option[0] for option in options))


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known of a tensor that depends on the image."""

    field: Field | None  # None where cells do not each see one window of the image
    sources: frozenset[int]  # the numbers of the layers whose outputs went into it, IMAGE among them


IMAGE = -1
"""The image among the layers."""


@contextmanager
def traced(images: Tensor) -> Iterator[None]:
    """For the while, follow what is made of these images."""
    set_trace(images, Trace(Field(), frozenset([IMAGE])))
    try:
        yield
    finally:
        del images._neocog_trace  # type: ignore[attr-defined]


def trace_of(tensor: Tensor) -> Trace | None:
    """What is known of a tensor; None for a constant."""
    return getattr(tensor, "_neocog_trace", None)


def set_trace(tensor: Tensor, trace: Trace | None) -> None:
    """Let a tensor carry this."""
    tensor._neocog_trace = trace  # type: ignore[attr-defined]


def tensors(tree: Any) -> list[Tensor]:
    """The tensors in nested containers, in order."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def sources_of(values: Iterable[Tensor]) -> frozenset[int]:
    """The layers whose outputs went into any of these."""
    return frozenset().union(*(trace.sources for trace in map(trace_of, values) if trace is not None))


class Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, counts multiply-adds, collects windows and passes traces on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = 0
        self.windows: list[Window] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [x for x in tensors((args, kwargs)) if trace_of(x) is not None]
        output = func(*args, **(kwargs or {}))
        results = tensors(output)
        if not results:
            return output
        self.multiply_adds += _multiply_adds(func.overloadpacket, args, results[0])
        window = _window(func.overloadpacket, args)
        if window is not None:
            self.windows.append(window)
        if inputs:
            trace = Trace(_propagate(func, args, window, inputs, results[0]), sources_of(inputs))
            for result in results:
                set_trace(result, trace)
        return output


def _multiply_adds(operator: Any, args: Sequence[Any], output: Tensor) -> int:
    if operator is aten.convolution:
        x, weight, transposed = args[0], args[1], args[6]
        # Each cell of the output (of the input, if transposed) meets one kernel of all channels of its group.
        return int((x if transposed else output).numel() * weight[0].numel())
    if operator in (aten.mm, aten.bmm):
        return int(output.numel() * args[0].shape[-1])
    if operator in (aten.addmm, aten.baddbmm):
        return int(output.numel() * args[1].shape[-1])
    return 0


MEAN_POOLINGS = (aten.avg_pool2d, aten.avg_pool3d)  # of one dimension: as (1, L)
MAX_POOLINGS = (aten.max_pool2d, aten.max_pool2d_with_indices, aten.max_pool3d_with_indices)

CELLWISE = (
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
    *(aten.cat, aten.slice, aten.expand, aten.clone, aten._to_copy, aten.alias, aten.detach),
    *(aten.sum, aten.mean, aten.amax, aten.linalg_vector_norm),  # over channels
    aten._adaptive_avg_pool2d,  # to the size it has
)
"""Beside the elementwise ones, the operators that leave each cell in its place if the map's size stays."""


def _window(operator: Any, args: Sequence[Any]) -> Window | None:
    """The window of a convolution or pooling, without axes of a single cell that it leaves alone."""
    if operator is aten.convolution:
        kernel, transposed = args[1].shape[2:], args[6]
        options = [kernel, *args[3:6]]
    elif operator in (*MEAN_POOLINGS, *MAX_POOLINGS):
        kernel, transposed = args[1], False
        stride = args[2] if len(args) > 2 and args[2] else kernel
        padding = args[3] if len(args) > 3 else [0]
        dilation = args[4] if len(args) > 4 and operator in MAX_POOLINGS else [1]
        options = [kernel, stride, padding, dilation]
    else:
        return None
    many = len(kernel)
    wide = [axis for axis in range(many) if kernel[axis] > 1 or args[0].shape[axis - many] > 1]
    each = (list(option) * (many // len(option)) for option in options)
    kernel, stride, padding, dilation = (
        tuple(option[axis] for axis in wide or range(many)) for option in each
    )
    return Window(kernel, stride, padding, dilation, transposed)


def _propagate(
    func: Any, args: Sequence[Any], window: Window | None, inputs: Sequence[Tensor], output: Tensor
) -> Field | None:
    """The receptive field of an operator's output from those of its inputs; None where there is no rule."""
    operator = func.overloadpacket
    fields = [trace.field for trace in map(trace_of, inputs) if trace is not None]
    field = fields[0]
    if window is not None:
        return None if field is None else window.after(field)
    if operator is aten.constant_pad_nd and field is not None:
        before = args[1][::2]  # of each axis, from the last
        return field.then(1, padding=before[0]) if before == before[:1] * (output.ndim - 2) else None
    if operator in (aten.unsqueeze, aten.squeeze) and {inputs[0].ndim, output.ndim} == {3, 4}:
        return field if args[1:] == (-2,) else None  # as pooling of one dimension has it
    cellwise = torch.Tag.pointwise in func.tags or operator in CELLWISE
    same_size = all(x.ndim == output.ndim > 2 and x.shape[2:] == output.shape[2:] for x in inputs)
    return _meet(fields) if cellwise and same_size else None


def _meet(fields: Sequence[Field | None]) -> Field | None:
    """The field that covers all; None if one is unknown or the jumps differ."""
    known = [field for field in fields if field is not None]
    if len(known) < len(fields) or len({field.jump for field in known}) != 1:
        return None
    first, *rest = known
    for field in rest:
        first = first.join(field)
    return first
