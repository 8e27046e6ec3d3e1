"""A network of the user's own, by the name it has in a file or a module. This runs the user's code."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neocog.errors import UsageError, is_out_of_memory
from neocog.ops.names import unknown

if TYPE_CHECKING:
    from torch import nn


def given_network(place: str) -> nn.Module:
    """The network at FILE.py:NAME or module.path:NAME, or what the callable without arguments there gives.

    Raises UsageError for a missing file, module or name, for anything else than a network, and for whatever
    the code there raises.
    """
    from torch import nn

    source, name = place.rsplit(":", 1) if ":" in place else (place, "")
    if not name:
        raise UsageError(f"{place}: say which network in it, as {source}:NAME")
    with user_code(place):
        module = _file(Path(source)) if source.endswith(".py") else _module(source)
        found: Any = getattr(module, name, None)
        if name not in dir(module):
            raise UsageError(_missing(name, module, source))
        if not isinstance(found, nn.Module) and callable(found):
            _check_arguments(found, place)
            found = found()
    if not isinstance(found, nn.Module):
        raise UsageError(f"{place}: is no torch.nn.Module but of type {type(found).__name__}")
    return found


@contextmanager
def user_code(place: str, remedy: str = "") -> Iterator[None]:
    """Say in one line what the user's code raises, and where; what it prints goes to standard error."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise
        notes = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
        told = f"{_line(error) or place}: {type(error).__name__}{notes}: {error}"
        raise UsageError(told + (f" ({remedy})" if remedy else "")) from error


def _line(error: BaseException) -> str:
    """FILE:LINE of the innermost call in code that is neither ours nor installed, or "" if there is none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    installed = (str(Path(__file__).parent.parent), sysconfig.get_path("stdlib"), "<")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(installed) and "site-packages" not in frame.filename:
            return f"{frame.filename}:{frame.lineno}"
    return ""


def _missing(name: str, module: ModuleType, source: str) -> str:
    """What to say of a name that the module does not have: which of its own is near."""
    from torch import nn

    own = [
        key
        for key, value in vars(module).items()
        if isinstance(value, nn.Module) or getattr(value, "__module__", "") == module.__name__
    ]
    return unknown(name, own, f"name in {source}") if own else f"{source}: has no '{name}', and no network"


def _check_arguments(found: Any, place: str) -> None:
    """Raise UsageError for a callable that cannot be called without arguments."""
    try:
        inspect.signature(found).bind()
    except TypeError as error:
        raise UsageError(f"{place}: needs arguments ({error}); give a function that needs none") from error
    except ValueError:  # without a signature, as some callables of C
        return


def _file(path: Path) -> ModuleType:
    """The module that a file makes, with its folder on the path of imports as in a script."""
    if not path.is_file():
        raise UsageError(f"{path}: {'is no file' if path.exists() else 'does not exist'}")
    spec = importlib.util.spec_from_file_location(f"given {path.stem}", path)
    assert spec is not None and spec.loader is not None  # for a name that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses look for their types
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    """An installed module, or one in the current folder."""
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"'{name}' is neither a .py file nor a module's name")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and does not find another
        raise UsageError(
            f"there is no module '{error.name}' here; a file is given as FILE.py:NAME"
        ) from error
