"""JSON read strictly: what the standard forbids, and what Python's parser lets pass, is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from neocog.data.files import printable, read_bytes
from neocog.errors import DataError

MOST_JSON = 1 << 30


def read_json(path: Path) -> Any:
    """The document in a JSON file of at most 1 GiB, without the `segmentation` of its objects.

    Raises DataError `path: reason` for damaged JSON (with line and column), a key given twice in one object,
    NaN and Infinity, and nesting too deep to be data.
    """
    data = read_bytes(path, MOST_JSON)
    try:
        # Outlines are most of a detection file; dropping each as it is read keeps the memory small.
        return json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse)
    except _Refused as error:
        raise DataError(f"{printable(path)}: {printable(error)}") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}, offset {error.pos}"
        raise DataError(f"{printable(path)}: not JSON or cut off ({place}: {error.msg})") from error
    except RecursionError as error:
        raise DataError(f"{printable(path)}: nested too deeply to be data") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(path)}: not UTF-8 text (offset {error.start})") from error
    except ValueError as error:  # Python's own guard: such numbers take quadratic time
        raise DataError(f"{printable(path)}: a number beyond the limit of thousands of digits") from error


class _Refused(Exception):
    """What the standard forbids."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise _Refused(f"duplicate key '{twice[:40]}' in one object (remove one)")
    found.pop("segmentation", None)
    return found


def _refuse(name: str) -> None:
    raise _Refused(f"{name} is not a JSON number (remove the annotation that holds it)")
