"""What is kept of measured pictures, as plain JSON: reading it runs no code, and gives the same bits back."""

from __future__ import annotations

import base64
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neocog.judging import Masked
from neocog.metrics.segmentation import SegmentationRecord
from neocog.types import Classification, Detections, Localization

_KINDS: tuple[Any, ...] = (Classification, Detections, Localization, Masked, SegmentationRecord)
KINDS: dict[str, Any] = {kind.__name__: kind for kind in _KINDS}
"""The classes that records consist of, beside tensors, arrays, bytes, tuples, dictionaries and numbers."""


def to_json(value: Any) -> Any:
    """A record of any task as JSON. Raises TypeError for anything else than KINDS and plain values."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        return {"tensor": _array(value.numpy())}
    if isinstance(value, np.ndarray):
        return {"array": _array(value)}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {"dict": {name: to_json(one) for name, one in value.items()}}
    name = type(value).__name__
    if KINDS.get(name) is type(value):
        parts = [getattr(value, one.name) for one in fields(value)] if is_dataclass(value) else list(value)
        return {name: [to_json(one) for one in parts]}
    if type(value) is tuple:
        return {"tuple": [to_json(one) for one in value]}
    raise TypeError(f"{name} is no part of a record")


def from_json(value: Any) -> Any:
    """The record that `to_json` made this of. Raises ValueError for what it did not make."""
    if not isinstance(value, dict):
        return value
    try:
        ((name, inside),) = value.items()
        if name == "tensor":
            return torch.from_numpy(_values(inside))
        if name == "array":
            return _values(inside)
        if name == "bytes":
            return base64.b64decode(inside)
        if name == "dict":
            return {key: from_json(one) for key, one in inside.items()}
        parts = [from_json(one) for one in inside]
        return tuple(parts) if name == "tuple" else KINDS[name](*parts)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a record: {str(value)[:80]}") from error


def _array(values: np.ndarray) -> list[Any]:
    return [values.dtype.str, list(values.shape), base64.b64encode(values.tobytes()).decode()]


def _values(stored: list[Any]) -> np.ndarray:
    kind, shape, data = stored
    if np.dtype(kind).hasobject:
        raise ValueError("an array of objects")
    return np.frombuffer(base64.b64decode(data), kind).reshape(shape).copy()
