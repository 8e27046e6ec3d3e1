"""A trained network made ready for a CPU: the same function, its layers fused and packed for oneDNN.

PyTorch brings a convolution's weights into the processor's own layout anew for every picture, sends 1x1
convolutions and linear layers to a slower matrix product, and goes over memory once more for each ReLU and each
sum of a residual block. Here weights are packed once, everything goes to oneDNN, and a ReLU or a sum is part of
the layer before it. The operators are PyTorch's own, those that its compiler calls; they are private, so they
are tried out before they are used, and where they are absent or wrong the network stays as it is.
"""

from __future__ import annotations

import copy
import functools
import inspect
import operator
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

PLAIN = (str, int, float, bool, type(None))
"""Arguments that a traced module may have beside tensors: they are part of what was traced."""

_RELUS: tuple[Any, ...] = (F.relu, torch.relu, torch.relu_)
_SUMS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add)


def packed(model: nn.Module, run: Callable[[nn.Module], object]) -> nn.Module:
    """A copy of `model`, which it shares its parameters with, whose layers are fused and packed for this CPU.

    `model` is in evaluation mode, on the CPU, and needs no gradients; `run` puts a picture through it, which
    shows how each of its modules is called. Outputs change by rounding only. Later changes of the weights are
    not seen. Where PyTorch or the machine has no such operators, the model itself.
    """
    if not usable(next(model.parameters()).dtype):
        return model
    shared = {id(one): one for one in chain(model.parameters(), model.buffers())}
    own = copy.deepcopy(model, shared)
    calls = _calls(own, run)
    layers: dict[nn.Module, nn.Module] = {
        layer: kind(layer)
        for layer in own.modules()
        for fits, kind in ((_is_conv, PackedConv), (_is_linear, PackedLinear))
        if fits(layer)
    }
    for module, arguments in calls.items():
        if module not in layers and arguments is not None and any(True for _ in module.children()):
            graph = _traced(module, arguments, layers)
            if graph is not None:
                object.__setattr__(module, "forward", _Substitute(module, graph, arguments))
    for layer, ready in layers.items():  # for whoever calls them outside of what could be traced
        object.__setattr__(layer, "forward", ready.forward)
    return own


class PackedConv(nn.Module):
    """A convolution with packed weights, and on demand a tensor to add and a ReLU behind it.

    Which layout is the fastest depends on the size of the input, and weights in another one are slower than
    unpacked ones by far. So they are packed anew for each size, and kept once for each layout.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.how = [*layer.padding], [*layer.stride], [*layer.dilation], layer.groups
        self.plain_weight, self.bias, self.dtype = layer.weight, layer.bias, layer.weight.dtype
        self._by_size: dict[torch.Size, Tensor] = {}
        self._by_layout: dict[bytes, Tensor] = {}

    def forward(self, x: Tensor, other: Tensor | None = None, relu: bool = False) -> Tensor:
        x = x.to(self.dtype)
        weight = self._by_size.get(x.shape)
        if weight is None:
            weight = self._pack(x.shape)
        if other is None:
            after = "relu" if relu else "none", [], ""
            result: Tensor = torch.ops.mkldnn._convolution_pointwise(x, weight, self.bias, *self.how, *after)
            return result
        last = "relu" if relu else None, [], None
        result = torch.ops.mkldnn._convolution_pointwise.binary(
            x, other.to(self.dtype), weight, self.bias, *self.how, "add", None, *last
        )
        return result

    def _pack(self, size: torch.Size) -> Tensor:
        packed = torch.ops.mkldnn._reorder_convolution_weight(self.plain_weight, *self.how, [*size])
        layout = torch.ops.mkldnn._get_mkldnn_serialized_md(packed)[LAYOUT].numpy().tobytes()
        if len(self._by_size) >= MOST_SIZES or len(self._by_layout) >= MOST_LAYOUTS:
            self._by_size, self._by_layout = {}, {}
        kept = self._by_size[size] = self._by_layout.setdefault(layout, packed)
        return kept


LAYOUT = slice(320, None)
"""Strides and blocks in oneDNN's description of a tensor; before them are bytes that nothing is written to."""

MOST_SIZES, MOST_LAYOUTS = 1024, 8
"""What a layer keeps: sizes of its input, and copies of its weights."""

FEW_ROWS = 16
"""Reading the weights takes as long as multiplying so many rows by them: fewer gain nothing from packing."""


class PackedLinear(nn.Module):
    """A linear layer, with packed weights once it is given many rows, and on demand a ReLU behind it."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.plain_weight, self.bias = layer.weight, layer.bias

    @functools.cached_property
    def weight(self) -> Tensor:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(self.plain_weight)
        return packed

    def forward(self, x: Tensor, relu: bool = False) -> Tensor:
        x = x.to(self.plain_weight.dtype)
        if x.numel() < FEW_ROWS * x.shape[-1]:
            product = F.linear(x, self.plain_weight, self.bias)
            return product.relu_() if relu else product
        unary = "relu" if relu else "none"
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, unary, [], "")
        return result


def _is_conv(layer: nn.Module) -> bool:
    return type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)


def _is_linear(layer: nn.Module) -> bool:
    return type(layer) is nn.Linear


@functools.cache
def usable(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the operators, for numbers of this type, and they compute what they should."""
    if not torch.backends.mkldnn.is_available():
        return False
    conv, linear = nn.Conv2d(8, 8, 3, 2, 1).to(dtype), nn.Linear(8, 4).to(dtype)
    rng = torch.Generator().manual_seed(0)
    image = torch.randn(2, 8, 9, 7, generator=rng).to(dtype, memory_format=torch.channels_last)
    try:
        with torch.inference_mode():
            plain = conv(image)
            other, rows = plain.flip(0), image[:, :, 0, 0].contiguous()
            wanted = [F.relu(plain), plain + other, F.relu(plain + other), F.relu(linear(rows))]
            ready, product = PackedConv(conv), PackedLinear(linear)
            found = [ready(image, relu=True), ready(image, other), ready(image, other, True), product(rows, True)]
    except (AttributeError, RuntimeError):  # NotImplementedError is one
        return False
    close = 1e-5 if dtype == torch.float32 else 0.05
    return all(torch.allclose(a, b, close, close) for a, b in zip(wanted, found, strict=True))


def _calls(model: nn.Module, run: Callable[[nn.Module], object]) -> dict[nn.Module, dict[str, Any] | None]:
    """How each module is called: the values of its plain arguments by name, and Tensor for a tensor's.

    None for a module that is called in several ways, or with what cannot be traced, such as a `Batch`.
    """
    calls: dict[nn.Module, dict[str, Any] | None] = {}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        given = _given(module, args, kwargs)
        calls[module] = given if calls.setdefault(module, given) == given else None

    hooks = [one.register_forward_pre_hook(note, with_kwargs=True) for one in model.modules()]
    try:
        with torch.inference_mode():
            run(model)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _given(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    bound = _signature(module).bind(*args, **kwargs)
    bound.apply_defaults()
    kinds = {name: Tensor if isinstance(value, Tensor) else value for name, value in bound.arguments.items()}
    known = all(value is Tensor or isinstance(value, PLAIN) for value in kinds.values())
    return kinds if known else None


@functools.lru_cache(512)
def _signature(module: nn.Module) -> inspect.Signature:
    return inspect.signature(type(module).forward.__get__(module))


class _Substitute:
    """Called in place of a module's `forward`: the traced graph, where the call is as it was traced."""

    def __init__(self, module: nn.Module, graph: fx.GraphModule, arguments: Mapping[str, Any]) -> None:
        self.plain, self.graph, self.arguments = module.forward, graph.forward, arguments
        self.signature = _signature(module)
        self.names = [name for name, value in arguments.items() if value is Tensor]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        for name, value in self.arguments.items():
            if value is Tensor:
                if not isinstance(given[name], Tensor):
                    return self.plain(*args, **kwargs)
            elif given[name] != value:
                return self.plain(*args, **kwargs)
        return self.graph(*(given[name] for name in self.names))


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m.__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential)


def _traced(
    module: nn.Module, arguments: Mapping[str, Any], layers: Mapping[nn.Module, nn.Module]
) -> fx.GraphModule | None:
    """The module as a graph of packed layers; None where what its Python does depends on the tensors."""
    plain = {name: value for name, value in arguments.items() if value is not Tensor}
    try:
        graph = _Tracer().trace(module, concrete_args=plain or None)
    except Exception:  # whatever a network's Python makes of something that is not quite a tensor
        return None
    for node in list(graph.nodes):
        if node.op == "placeholder" and node.target not in arguments:
            _erase(graph, node)
    traced = fx.GraphModule(module, graph)
    _fuse(traced, layers)
    traced.recompile()
    return traced


def _erase(graph: fx.Graph, node: fx.Node) -> None:
    """A plain argument, and the checks that it has the value it was traced with: `_Substitute` makes them."""
    for user in list(node.users):
        _erase(graph, user)
    graph.erase_node(node)


def _fuse(traced: fx.GraphModule, layers: Mapping[nn.Module, nn.Module]) -> None:
    """Put packed layers in the place of plain ones, each with the sum and the ReLU behind it, in place."""
    graph, modules = traced.graph, dict(traced.named_modules())
    for node in list(graph.nodes):
        if isinstance(modules.get(_name(node)), nn.Identity | nn.Dropout):
            _replace(graph, node, node.args[0])
    place = {node: number for number, node in enumerate(graph.nodes)}
    for number, node in enumerate(list(graph.nodes)):
        ready = layers.get(modules.get(_name(node), traced))
        if ready is None:
            continue
        name = f"packed_{number}"
        traced.add_submodule(name, ready)
        node.target = name
        after = _only_user(node)
        if isinstance(ready, PackedConv) and after is not None and after.target in _SUMS:
            others = [one for one in after.args if one is not node]
            if len(others) == 1 and isinstance(others[0], fx.Node) and place[others[0]] < place[node]:
                node.args = (*node.args, others[0])
                _replace(graph, after, node)
                after = _only_user(node)
        if after is not None and (after.target in _RELUS or isinstance(modules.get(_name(after)), nn.ReLU)):
            node.kwargs = {"relu": True}
            _replace(graph, after, node)


def _name(node: fx.Node) -> str:
    """Of the module that a node calls; empty for another node."""
    return str(node.target) if node.op == "call_module" else ""


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _replace(graph: fx.Graph, node: fx.Node, by: Any) -> None:
    node.replace_all_uses_with(by)
    graph.erase_node(node)
