"""A trained network made ready for a CPU: the same function, its layers packed and fused.

What follows what is seen in the network itself: each module whose Python does the same for every picture is
traced into a graph (torch.fx), in which a layer takes in the sum and the ReLU behind it, and of a backbone's
maps only those are kept that are read. What cannot be traced runs as it did, with packed layers inside.
"""

from __future__ import annotations

import copy
import functools
import inspect
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from neocog.fold import run_hooked
from neocog.packed import PackedConv, PackedLinear, packed_form, usable
from neocog.recorded import Recorded
from neocog.types import Features

PLAIN = (str, int, float, bool, type(None))
"""Arguments that a traced module may have beside tensors: they are part of what was traced."""

_RELUS: tuple[Any, ...] = (F.relu, torch.relu, torch.relu_)
_SUMS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add)

Layers = Mapping[nn.Module, PackedConv | PackedLinear]
"""Each layer's packed form."""


def packed(model: nn.Module, run: Callable[[nn.Module], object]) -> nn.Module:
    """A copy of `model`, with which it shares its parameters, whose layers are packed and fused for this CPU.

    `model` is in evaluation mode, on the CPU, and needs no gradients; `run` puts a picture through it, which
    shows how each of its modules is called. Outputs change by rounding only. Later changes of the weights are
    not seen, hooks inside may not be called, and maps of a backbone that the model around it never reads are
    not in its output. Where PyTorch lacks the operators, the model itself.
    """
    if not usable(next(model.parameters()).dtype):
        return model
    own = copy.deepcopy(model, {id(one): one for one in chain(model.parameters(), model.buffers())})
    calls, read = _calls(own, run)
    read.pop(own, None)  # a backbone by itself gives all
    forms = ((layer, packed_form(layer)) for layer in own.modules())
    layers: Layers = {layer: form for layer, form in forms if form is not None}
    for module, arguments in calls.items():
        if arguments is not None and any(True for _ in module.children()):
            graph = _traced(module, arguments, layers, read.get(module))
            if graph is not None:
                vars(module)["forward"] = _Substitute(module, graph, arguments)
    for layer, form in layers.items():  # for whoever calls them outside of what could be traced
        vars(layer)["forward"] = form.forward
    return own


class _Noting(dict[str, Tensor]):
    """Maps by name, which note what is read of them."""

    def __init__(self, maps: Mapping[str, Tensor]) -> None:
        super().__init__(maps)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Tensor:
        self.read.add(name)
        return super().__getitem__(name)

    def values(self) -> Any:
        self.read |= self.keys()
        return super().values()

    def items(self) -> Any:
        self.read |= self.keys()
        return super().items()


Calls = dict[nn.Module, dict[str, Any] | None]


def _calls(model: nn.Module, run: Callable[[nn.Module], object]) -> tuple[Calls, dict[nn.Module, _Noting]]:
    """How each module is called: the values of its plain arguments by name, and Tensor for a tensor's.

    None for a module that is called in several ways, or with what cannot be traced, such as a `Batch`. And
    of each backbone the maps, which have noted what was read.
    """
    calls: Calls = {}
    read: dict[nn.Module, _Noting] = {}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        given = _given(module, args, kwargs)
        calls[module] = given if calls.setdefault(module, given) == given else None

    def watch(module: nn.Module, _: Any, output: Any) -> Any:
        if not isinstance(output, Features):
            return output
        read[module] = _Noting(output.maps)
        return replace(output, maps=read[module])

    hooks = [one.register_forward_pre_hook(note, with_kwargs=True) for one in model.modules()]
    hooks += [one.register_forward_hook(watch) for one in model.modules()]
    run_hooked(model, run, hooks)
    return calls, read


def _given(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    given = _by_name(type(module), args, kwargs)
    kinds = {name: Tensor if isinstance(value, Tensor) else value for name, value in given.items()}
    known = all(value is Tensor or isinstance(value, PLAIN) for value in kinds.values())
    return kinds if known else None


def _by_name(kind: type[nn.Module], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call of such a module by their names, with those that are left out."""
    bound = _signature(kind).bind(None, *args, **kwargs)  # type: ignore[arg-type]
    bound.apply_defaults()
    _, *given = bound.arguments.items()  # the first is the module
    return dict(given)


@functools.cache
def _signature(kind: type[nn.Module]) -> inspect.Signature:
    return inspect.signature(kind.forward)


class _Substitute:
    """Called in place of a module's `forward`: the traced graph, where the call is as it was traced."""

    def __init__(self, module: nn.Module, graph: Recorded, arguments: Mapping[str, Any]) -> None:
        self.kind, self.plain, self.graph = type(module), module.forward, graph
        self.tensors = [name for name, value in arguments.items() if value is Tensor]
        self.others = {name: value for name, value in arguments.items() if value is not Tensor}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        given = _by_name(self.kind, args, kwargs)
        tensors = [given[name] for name in self.tensors]
        as_traced = all(given[name] == value for name, value in self.others.items())
        if as_traced and all(isinstance(one, Tensor) for one in tensors):
            return self.graph(*tensors)
        return self.plain(*args, **kwargs)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return m.__module__.startswith("torch.nn") and not isinstance(m, nn.Sequential)


def _traced(
    module: nn.Module, arguments: Mapping[str, Any], layers: Layers, maps: _Noting | None
) -> Recorded | None:
    """The module as a graph of packed layers; None where what its Python does depends on the tensors.

    `maps`: of a backbone's output, with a note of what was read.
    """
    fixed = {name: value for name, value in arguments.items() if value is not Tensor}
    try:
        graph = _Tracer().trace(module, concrete_args=fixed or None)
    except Exception:  # whatever a network's Python makes of something that is not quite a tensor
        return None
    for node in list(graph.nodes):
        if node.op == "placeholder" and node.target not in arguments:
            _erase(graph, node)
        elif maps is not None and node.target is Features:
            made = node.kwargs["maps"]
            node.kwargs = {**node.kwargs, "maps": {name: made[name] for name in made if name in maps.read}}
    plain, traced = fx.GraphModule(module, copy.deepcopy(graph)), fx.GraphModule(module, graph)
    _fuse(traced, layers)
    traced.recompile()
    return Recorded(traced, plain)


def _erase(graph: fx.Graph, node: fx.Node) -> None:
    """A plain argument, and the checks that it has the value it was traced with: `_Substitute` makes them."""
    for user in list(node.users):
        _erase(graph, user)
    graph.erase_node(node)


def _fuse(traced: fx.GraphModule, layers: Layers) -> None:
    """Put packed layers in the place of plain ones, each with the sum and the ReLU behind it, in place."""
    graph, modules = traced.graph, dict(traced.named_modules())
    for node in list(graph.nodes):
        if isinstance(modules.get(_name(node)), nn.Identity | nn.Dropout):
            _replace(graph, node, node.args[0])
    forms = {node: layers[modules[_name(node)]] for node in graph.nodes if modules.get(_name(node)) in layers}
    new = {node for node in graph.nodes if isinstance(modules.get(_name(node)), nn.MaxPool2d)} | forms.keys()
    convolutions = {node for node, form in forms.items() if isinstance(form, PackedConv)}
    for number, (node, form) in enumerate(forms.items()):
        node.target = f"packed_{number}"
        traced.add_submodule(node.target, form)
        after = _only_user(node)
        other = _added(node, after, convolutions)
        if after is not None and other is not None:
            after.prepend(node)  # behind the other
            node.args = (*node.args, other)
            _replace(graph, after, node)
            after = _only_user(node)
        if after is not None and (after.target in _RELUS or isinstance(modules.get(_name(after)), nn.ReLU)):
            node.kwargs = {"relu": True}
            _replace(graph, after, node)
    place = {node: number for number, node in enumerate(graph.nodes)}
    for node in convolutions:
        if len(node.args) > 1:
            other = node.args[1]
            used_later = any(place[user] > place[node] for user in other.users)
            node.kwargs = {**node.kwargs, "into": other in new and not used_later}


def _added(node: fx.Node, after: fx.Node | None, convolutions: Collection[fx.Node]) -> fx.Node | None:
    """What `after` adds to the convolution; None where it does not, or the other takes the sum in.

    Of two convolutions that is the first that is named, as it is where oneDNN chooses.
    """
    if node not in convolutions or after is None or after.target not in _SUMS or after.kwargs:
        return None
    others = [one for one in after.args if one is not node]
    if len(others) != 1 or not isinstance(others[0], fx.Node):
        return None
    other = others[0]
    taken = other is after.args[0] and other in convolutions and _only_user(other) is after
    return None if taken else other


def _name(node: fx.Node) -> str:
    """Of the module that a node calls; empty for another node."""
    return str(node.target) if node.op == "call_module" else ""


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _replace(graph: fx.Graph, node: fx.Node, by: Any) -> None:
    node.replace_all_uses_with(by)
    graph.erase_node(node)
