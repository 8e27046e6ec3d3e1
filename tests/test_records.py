"""What is kept of measured pictures comes back from its JSON bit by bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from neocog.judging import Masked
from neocog.metrics.segmentation import record
from neocog.records import from_json, to_json
from neocog.types import Classification, Detections, Localization

THIRD = 1 / 3
RECORDS: list[Any] = [
    (Detections(torch.rand(3, 4), torch.rand(3), torch.tensor([2, 0, 1])), {"seen": Detections.empty()}),
    Classification(torch.tensor([THIRD, 1e-38, float("nan")])),
    Localization(torch.rand(2), torch.rand(4)),
    Masked(record(np.eye(9, dtype=np.uint8), np.zeros((9, 9), np.uint8), 2), THIRD, b"\0\xff", (9, 9)),
    (np.arange(12, dtype=np.uint8).reshape(2, 2, 3)[:, ::-1], THIRD, 4),
]


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and a.numpy().tobytes() == b.numpy().tobytes()
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[name], b[name]) for name in a)
    if isinstance(a, tuple):
        return type(a) is type(b) and all(same(*pair) for pair in zip(a, b, strict=True))
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(same(getattr(a, f), getattr(b, f)) for f in a.__dataclass_fields__)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("value", RECORDS, ids=lambda value: type(value).__name__)
def test_a_record_comes_back(value: Any) -> None:
    assert same(value, from_json(json.loads(json.dumps(to_json(value)))))


def test_other_things_are_refused() -> None:
    with pytest.raises(TypeError, match="object is no part of a record"):
        to_json((object(),))


NONE: list[Any] = [{"Path": ["x"]}, {"tensor": 3}, {"a": 1, "b": 2}, {"array": ["|O", [1], ""]}]


@pytest.mark.parametrize("value", [*NONE, {"Detections": [1]}])
def test_what_is_no_record_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"not a record|objects|unpack"):
        from_json(value)
