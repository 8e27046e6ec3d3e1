"""`--set name=value`: options of a frozen dataclass, changed by dotted names and checked by their types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from neocog.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Options = TypeVar("Options", bound=DataclassInstance)


def apply_settings(options: Options, settings: Sequence[str]) -> Options:
    """Options with settings such as `rpn.nms=0.6` applied, in order; `options` itself is left as it is.

    A value is read as JSON of the field's type (`0.6`, `true`, `null`, `[32, 64]`), and otherwise as plain
    text. Raises UsageError for an unknown name, naming the nearest valid one, and for a value that is not of
    the field's type or that the options refuse.
    """
    names = setting_names(options)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise UsageError(f"--set {setting}: write name=value, such as --set {names[0]}=...")
        if name not in names:
            nearest = get_close_matches(name, names, n=1, cutoff=0.0)[0]
            raise UsageError(f"--set {setting}: there is no option '{name}'; the nearest is '{nearest}'")
        options = _replaced(options, name.split("."), text, setting)
    return options


def setting_names(options: DataclassInstance, prefix: str = "") -> list[str]:
    """Every dotted name that `apply_settings` accepts for these options."""
    names = []
    for field in fields(options):
        value = getattr(options, field.name)
        nested = is_dataclass(value) and not isinstance(value, type)
        names += setting_names(value, f"{prefix}{field.name}.") if nested else [prefix + field.name]
    return names


def _replaced(options: Options, path: list[str], text: str, setting: str) -> Options:
    """Options with the field at `path` read from text."""
    first, *rest = path
    if rest:
        value = _replaced(getattr(options, first), rest, text, setting)
    else:
        value = _read(get_type_hints(type(options), include_extras=True)[first], text, setting)
    try:
        return replace(options, **{first: value})
    except ValueError as error:
        raise UsageError(f"--set {setting}: {error}") from error


def _read(kind: Any, text: str, setting: str) -> Any:
    """Text as a value of a type. Strict: 1 is no bool, 2.5 no int, NaN no float."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    adapter = TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        reason = error.errors()[0]
    try:
        return adapter.validate_json(json.dumps(text), strict=True)
    except ValidationError as error:
        plain = error.errors()[0]
    message = plain["msg"] if reason["type"] == "json_invalid" else reason["msg"]
    raise UsageError(f"--set {setting}: {message[0].lower()}{message[1:]}")
