"""Tensors inside of dataclasses, mappings and sequences: a network's output, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor


def named_tensors(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor in there by its dotted name, in order."""
    if isinstance(value, Tensor):
        yield name, value
        return
    parts: Any = ()
    if is_dataclass(value):
        parts = ((field.name, getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, tuple | list):
        parts = enumerate(value)
    for key, part in parts:
        yield from named_tensors(part, f"{name}.{key}" if name else str(key))


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """The same with `function` of every tensor in its place, called in the order of `named_tensors`."""
    if isinstance(value, Tensor):
        return function(value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: map_tensors(function, getattr(value, field.name)) for field in fields(value)}
        return replace(value, **parts)
    if isinstance(value, Mapping):
        return {name: map_tensors(function, part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(function, part) for part in value)
    return value
