"""A network layer by layer: shapes, weights, multiply-adds and receptive fields, from one real forward pass.

Multiply-adds are those of convolutions and matrix products. Papers and torchvision call one multiply-add one
FLOP, and `gflops` follows them: multiply-adds / 1e9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from neocog.ops.arithmetic import Field
from neocog.types import Batch

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class Row:
    """One use of one layer."""

    name: str  # where it is in the module: `features.0`
    kind: str  # the type's name: `Conv2d`
    shape: tuple[int, ...]  # of its output, () if that is not a tensor
    parameters: int  # 0 where the layer, or its weights, had been used before
    multiply_adds: int
    field: Field | None  # None where cells do not each see one window of the image
    bytes: int  # of its output


@dataclass(frozen=True, slots=True)
class Summary:
    """The rows in order of use, and the totals of the whole module."""

    rows: tuple[Row, ...]
    parameters: int
    parameter_bytes: int
    multiply_adds: int  # those between the layers included

    @property
    def gflops(self) -> float:
        """Multiply-adds in thousand millions."""
        return self.multiply_adds / 1e9

    @property
    def activation_bytes(self) -> int:
        """Sum of the layers' outputs: about what one training step keeps for its backward pass."""
        return sum(row.bytes for row in self.rows)


def summarize(
    module: nn.Module,
    inputs: int | tuple[int, int] | Tensor | Batch,
    call: Callable[[Any], Any] | None = None,
) -> Summary:
    """Run `call(inputs)` (by default the module itself) once in evaluation mode and record its leaf modules.

    `inputs`: the (height, width) of an RGB image, one number for both, or what the module takes: images
    (B, 3, H, W) or a Batch. The module stays on its device; on "meta" shapes and counts cost nothing. It is
    left as it was found. What is computed between leaf modules counts in the totals only, and convolutions
    fused for inference are not seen: summarize the network as it was built.

    Receptive fields follow square convolutions and poolings, and whatever works on each cell by itself; where
    branches meet, the field covers them all. After a transposed convolution, resizing, flattening or RoI
    pooling there is none.
    """
    if isinstance(inputs, int):
        inputs = (inputs, inputs)
    if isinstance(inputs, tuple):
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        inputs = torch.zeros(1, 3, *inputs, device=device)
    tracer = _Tracer()
    rows: list[Row] = []
    with torch.no_grad(), _evaluating(module), _recording(module, tracer, rows), tracer:
        images = inputs.images if isinstance(inputs, Batch) else inputs
        _set_field(images, Field())
        try:
            (module if call is None else call)(inputs)
        finally:
            del images._neocog_field  # type: ignore[attr-defined]
    weights = list(module.parameters())
    return Summary(
        tuple(rows),
        sum(weight.numel() for weight in weights),
        sum(weight.nbytes for weight in weights),
        tracer.multiply_adds,
    )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode for the while; parts may be in different modes, so each gets its own back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def _recording(module: nn.Module, tracer: _Tracer, rows: list[Row]) -> Iterator[None]:
    """Append a row to `rows` whenever a leaf of `module` has run."""
    counted: set[int] = set()
    started = 0

    def before(_: nn.Module, __: Any) -> None:
        nonlocal started
        started = tracer.multiply_adds

    def recorder(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def after(leaf: nn.Module, inputs: Any, output: Any) -> None:
            tensor = next((x for x in tree_leaves(output) if isinstance(x, Tensor)), None)
            if isinstance(leaf, nn.LocalResponseNorm):  # made of windows over channels, none over positions
                _set_field(output, _field(inputs[0]))
            own = [weight for weight in leaf.parameters() if id(weight) not in counted]
            counted.update(map(id, own))
            rows.append(
                Row(
                    name,
                    type(leaf).__name__,
                    () if tensor is None else tuple(tensor.shape),
                    sum(weight.numel() for weight in own),
                    tracer.multiply_adds - started,
                    None if tensor is None else _field(tensor),
                    0 if tensor is None else tensor.nbytes,
                )
            )

        return after

    leaves = [(name, part) for name, part in module.named_modules() if next(part.children(), None) is None]
    hooks = [part.register_forward_pre_hook(before) for _, part in leaves]
    hooks += [part.register_forward_hook(recorder(name)) for name, part in leaves]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


# A tensor that depends on the image carries its receptive field as an attribute: None if it has none. One
# without the attribute is a constant, and constrains nothing.


def _set_field(tensor: Tensor, field: Field | None) -> None:
    tensor._neocog_field = field  # type: ignore[attr-defined]


def _field(tensor: Tensor) -> Field | None:
    return getattr(tensor, "_neocog_field", None)


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts multiply-adds and passes receptive fields on, operator by operator as PyTorch executes them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        traced = [x for x in inputs if hasattr(x, "_neocog_field")]
        output = func(*args, **(kwargs or {}))
        results = [x for x in tree_leaves(output) if isinstance(x, Tensor)]
        if results:
            self.multiply_adds += _multiply_adds(func.overloadpacket, args, results[0])
        if traced and results:
            field = _propagate(func, args, traced, results[0])
            for result in results:
                _set_field(result, field)
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


CELLWISE = (
    aten.native_batch_norm,
    aten._native_batch_norm_legit_no_training,
    *(aten.cat, aten.slice, aten.expand, aten.clone, aten._to_copy, aten.alias, aten.detach),
    *(aten.sum, aten.mean, aten.amax, aten.linalg_vector_norm),  # over channels
    aten._adaptive_avg_pool2d,  # to the size it has
)
"""Beside the elementwise ones, the operators that leave each cell in its place if height and width stay."""


def _propagate(func: Any, args: Sequence[Any], traced: Sequence[Tensor], output: Tensor) -> Field | None:
    """The receptive field of an operator's output from those of its inputs; None where there is no rule."""
    operator, field = func.overloadpacket, _field(traced[0])
    if operator is aten.convolution and field is not None:
        _, weight, _, stride, padding, dilation, transposed = args[:7]
        return None if transposed else _window(field, weight.shape[2:], stride, padding, dilation)
    if operator in (aten.max_pool2d_with_indices, aten.max_pool2d, aten.avg_pool2d) and field is not None:
        stride = args[2] if len(args) > 2 and args[2] else args[1]
        padding = args[3] if len(args) > 3 else [0]
        dilation = args[4] if len(args) > 4 and operator is not aten.avg_pool2d else [1]
        return _window(field, args[1], stride, padding, dilation)
    if operator is aten.constant_pad_nd and field is not None:
        sides = args[1]
        return field.then(1, padding=sides[0]) if len(sides) == 4 and sides[0] == sides[2] else None
    cellwise = torch.Tag.pointwise in func.tags or operator in CELLWISE
    same_size = all(x.ndim == output.ndim > 2 and x.shape[-2:] == output.shape[-2:] for x in traced)
    return _meet([_field(x) for x in traced]) if cellwise and same_size else None


def _window(field: Field, *options: Sequence[int]) -> Field | None:
    """The field after a convolution or pooling with these options per axis, if the axes agree."""
    if any(len(set(option)) != 1 for option in options):
        return None
    kernel, stride, padding, dilation = (option[0] for option in options)
    return field.then(kernel, stride, padding, dilation)


def _meet(fields: Sequence[Field | None]) -> Field | None:
    """The field that covers all; None if one is unknown or the jumps differ."""
    known = [field for field in fields if field is not None]
    if len(known) < len(fields) or len({field.jump for field in known}) != 1:
        return None
    first, *rest = known
    for field in rest:
        first = first.join(field)
    return first
