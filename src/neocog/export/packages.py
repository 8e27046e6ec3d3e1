"""The packages that exporting needs, which are no part of a plain installation."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from neocog.errors import UsageError

PACKAGES = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
}
"""What writing and comparing a file of each format needs; int8 needs both."""


def require(*names: str) -> None:
    """Raise UsageError, which says how to install them, unless these packages are there."""
    for name in names:
        if find_spec(name) is None:
            raise UsageError(f'exporting needs the package {name}: pip install "neocog[export]"')


@contextmanager
def quiet() -> Iterator[None]:
    """Without what these packages tell their own developers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
