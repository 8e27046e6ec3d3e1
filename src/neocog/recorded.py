"""A network's graph handed to oneDNN as a whole, for sizes of pictures that come often.

One by one, each convolution costs some 30 us before it starts: Python, the way to the operator, and oneDNN's
search for its kernel, all from memory that the convolution before has driven out of the caches. Where oneDNN
knows the graph, it has chosen once and for all. To hand it over takes as long as a dozen passes, so that is
done only for what comes again and again. The way there is TorchScript, which PyTorch keeps but no longer
develops. A recording is used only if it gives the same bits.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor, fx

from neocog.nested import map_tensors, named_tensors
from neocog.packed import PackedConv

OFTEN = 100
"""Passes of one size before it is recorded: a pass gains 1 to 8 % of its time."""

MOST_RECORDINGS, MOST_COUNTS = 4, 1024
"""What is kept of a graph: recordings, each with a copy of the weights, and sizes that were counted."""

WARM_UP = 2
"""Passes until TorchScript has seen the sizes and made use of them."""

Sizes = tuple[Any, ...]
"""Of the tensors that a graph is given, with their types, and the number of threads."""


class Recorded:
    """A graph that is run from Python until it has seen a size often."""

    def __init__(self, graph: fx.GraphModule, plain: fx.GraphModule) -> None:
        """`graph`: what is run; `plain`: the same with PyTorch's own layers, which is what oneDNN can read.

        Both do the same operators for all tensors of one size, and leave those that they are given alone.
        """
        self.graph, self.plain = graph, plain
        self._worthwhile = any(isinstance(one, PackedConv) for one in graph.modules())
        self._times: Counter[Sizes] = Counter()
        self._runs: dict[Sizes, Callable[..., Any]] = {}

    def __call__(self, *tensors: Tensor) -> Any:
        if not self._worthwhile:
            return self.graph.forward(*tensors)
        sizes = (torch.get_num_threads(), *[(one.shape, one.dtype) for one in tensors])
        if sizes not in self._runs:
            self._count(sizes, tensors)
        return self._runs.get(sizes, self.graph.forward)(*tensors)

    def _count(self, sizes: Sizes, tensors: Sequence[Tensor]) -> None:
        """One pass more of these sizes, and their recording where that is due."""
        self._times[sizes] += 1
        if len(self._times) > MOST_COUNTS:
            self._times.clear()
        elif self._times[sizes] > OFTEN and len(self._runs) < MOST_RECORDINGS:
            self._runs[sizes] = recorded(self.plain, tensors, self.graph.forward)


def recorded(
    graph: fx.GraphModule, tensors: Sequence[Tensor], known: Callable[..., Any]
) -> Callable[..., Any]:
    """What gives the same bits as `known` for tensors of these sizes, by way of oneDNN; otherwise `known`."""
    answer = known(*tensors)
    wanted = _flat(answer)

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        found = _flat(_Plain(graph).run(*given))
        return tuple(
            one.contiguous(memory_format=_layout(as_in)) for one, as_in in zip(found, wanted, strict=True)
        )

    try:
        with _fusing():
            play: Any = torch.jit.trace(run, tuple(tensors), check_trace=False)  # type: ignore[no-untyped-call]
            for _ in range(WARM_UP):
                found = play(*tensors)
    except Exception:  # whatever TorchScript and oneDNN make of it
        return known
    if not all(_same(one, other) for one, other in zip(found, wanted, strict=True)):
        return known
    form = map_tensors(lambda one: one.new_empty(0), answer)

    def replay(*given: Tensor) -> Any:
        answers = iter(play(*given))
        return map_tensors(lambda _: next(answers), form)

    return replay


def _layout(tensor: Tensor) -> torch.memory_format:
    last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _same(one: Tensor, other: Tensor) -> bool:
    """The same bits in the same order, since what is computed from them depends on it."""
    return one.stride() == other.stride() and torch.equal(one, other)


class _Plain(fx.Interpreter):
    """Runs a graph with PyTorch's own layers, where packed ones have taken over their `forward`."""

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        layer: Any = self.fetch_attr(target)
        return type(layer).forward(layer, *args, **kwargs)


_FUSING = Lock()


@contextmanager
def _fusing() -> Iterator[None]:
    """TorchScript gives what it compiles in here to oneDNN, where it can."""
    with _FUSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and all sizes are meant to be constants
        before = torch.jit.onednn_fusion_enabled()  # type: ignore[no-untyped-call]
        torch.jit.enable_onednn_fusion(True)
        try:
            yield
        finally:
            torch.jit.enable_onednn_fusion(before)


def _flat(value: Any) -> tuple[Tensor, ...]:
    return tuple(one for _, one in named_tensors(value))
