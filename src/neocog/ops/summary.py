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
from torch.utils.hooks import RemovableHandle

from neocog.ops.arithmetic import Field
from neocog.ops.tracing import Trace, Tracer, Window, set_trace, sources_of, tensors, trace_of, traced
from neocog.types import Batch


@dataclass(frozen=True, slots=True)
class Row:
    """One use of one layer."""

    name: str  # where it is in the module: `features.0`
    kind: str  # the type's name: `Conv2d`
    shape: tuple[int, ...]  # of its output, () if that is not a tensor
    parameters: int  # 0 where the layer, or its weights, had been used before
    parameter_bytes: int
    multiply_adds: int
    window: Window | None  # of its convolution or pooling, if it is one
    field: Field | None  # None where cells do not each see one window of the image
    bytes: int  # of its output
    reads: tuple[int, ...]  # the rows whose outputs its input was made of; -1 is the image


@dataclass(frozen=True, slots=True)
class Summary:
    """The rows in order of use, and the totals of the whole module."""

    input: tuple[int, ...]  # shape of the images
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
    (B, 3, H, W), another tensor (B, ...) or a Batch. The module stays on its device; on "meta" shapes and
    counts cost nothing. It is left as it was found. What is computed between leaf modules counts in the
    totals only, and convolutions fused for inference are not seen: summarize the network as it was built. An
    error in a layer gets a note that names it.

    Receptive fields follow convolutions and poolings that are alike along all axes, and whatever works on
    each cell by itself; where branches meet, the field covers them all. After a transposed convolution,
    resizing, flattening or RoI pooling there is none.
    """
    if isinstance(inputs, int):
        inputs = (inputs, inputs)
    if isinstance(inputs, tuple):
        device = next((p.device for p in module.parameters()), torch.device("cpu"))
        inputs = torch.zeros(1, 3, *inputs, device=device)
    tracer = Tracer()
    rows: list[Row] = []
    with torch.no_grad(), _evaluating(module), _recording(module, tracer, rows), tracer:
        images = inputs.images if isinstance(inputs, Batch) else inputs
        with traced(images):
            (module if call is None else call)(inputs)
    weights = list(module.parameters())
    return Summary(
        tuple(images.shape),
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
def _recording(module: nn.Module, tracer: Tracer, rows: list[Row]) -> Iterator[None]:
    """Append a row to `rows` whenever a leaf of `module` has run."""
    started = 0
    running: str | None = None
    counted: set[int] = set()

    def watch(name: str, leaf: nn.Module) -> Iterator[RemovableHandle]:
        def before(*_: Any) -> None:
            nonlocal started, running
            started, running = tracer.multiply_adds, name
            tracer.windows.clear()

        def after(leaf: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            nonlocal running
            running = None
            inputs, outputs = tensors((args, kwargs)), tensors(output)
            if isinstance(leaf, nn.LocalResponseNorm):  # windows over channels, none over positions
                set_trace(output, trace_of(inputs[0]))
                tracer.windows.clear()
            own = [weight for weight in leaf.parameters() if id(weight) not in counted]
            counted.update(map(id, own))
            cost = tracer.multiply_adds - started
            rows.append(_row(name, leaf, own, cost, tracer.windows, inputs, outputs))
            for tensor in outputs:  # from here on, it is this layer's
                trace = trace_of(tensor)
                if trace is not None or rows[-1].reads:
                    field = None if trace is None else trace.field
                    set_trace(tensor, Trace(field, frozenset([len(rows) - 1])))

        yield leaf.register_forward_pre_hook(before)
        yield leaf.register_forward_hook(after, with_kwargs=True)

    leaves = [(name, part) for name, part in module.named_modules() if next(part.children(), None) is None]
    hooks = [hook for name, leaf in leaves for hook in watch(name, leaf)]
    try:
        yield
    except Exception as error:
        if running:
            error.add_note(f"in layer {running}")
        raise
    finally:
        for hook in hooks:
            hook.remove()


def _row(
    name: str,
    leaf: nn.Module,
    own: Sequence[Tensor],
    multiply_adds: int,
    windows: Sequence[Window],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> Row:
    """What is to be said of a leaf that has run; `own` are its weights that no row had before."""
    output = outputs[0] if outputs else None
    trace = None if output is None else trace_of(output)
    return Row(
        name,
        type(leaf).__name__,
        () if output is None else tuple(output.shape),
        sum(weight.numel() for weight in own),
        sum(weight.nbytes for weight in own),
        multiply_adds,
        windows[0] if len(windows) == 1 else None,
        None if trace is None else trace.field,
        0 if output is None else output.nbytes,
        tuple(sorted(sources_of(inputs))),
    )
