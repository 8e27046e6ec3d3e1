"""Neocog: the convolutional vision family in one package.

The names below are loaded when they are first used, so importing this package costs nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neocog.version import __version__

if TYPE_CHECKING:
    from neocog.compare import compare
    from neocog.data.open import open_data
    from neocog.evaluate import evaluate
    from neocog.ops.convolve import choose_method, convolve, correlate
    from neocog.predict import load
    from neocog.train import fit
    from neocog.zoo import create

_PLACES = {
    "choose_method": "neocog.ops.convolve",
    "compare": "neocog.compare",
    "convolve": "neocog.ops.convolve",
    "correlate": "neocog.ops.convolve",
    "create": "neocog.zoo",
    "evaluate": "neocog.evaluate",
    "fit": "neocog.train",
    "load": "neocog.predict",
    "open_data": "neocog.data.open",
}

__all__ = [
    "__version__",
    "choose_method",
    "compare",
    "convolve",
    "correlate",
    "create",
    "evaluate",
    "fit",
    "load",
    "open_data",
]


class _Face(ModuleType):
    """This package. A function such as `evaluate` is not hidden by the submodule that it comes from."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'neocog' has no attribute '{name}'")
    value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


sys.modules[__name__].__class__ = _Face
