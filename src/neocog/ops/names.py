"""Options that are names: what is not in their table is an error that names the nearest one that is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

Entry = TypeVar("Entry")


def named(table: Mapping[str, Entry], name: str, kind: str) -> Entry:
    """The entry of that name. Raises ValueError with the nearest name, or all of them if none is near."""
    if name in table:
        return table[name]
    raise ValueError(unknown(name, table, kind))


def unknown(name: str, names: Iterable[str], kind: str) -> str:
    """What to say of a name that is none of `names`."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
    return f"unknown {kind} '{name}': {hint}"
