"""What the verbs share: options that mean the same everywhere, tables, JSON results and output folders."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from neocog.errors import DeviceError, DiskError, UsageError
from neocog.files import NO_ROOM, finite

if TYPE_CHECKING:
    import torch

    from neocog.distributed.peers import Peers

JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the result as JSON to FILE (-: standard output)."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of all randomness.")]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads", min=1, max=1024, metavar="N", help="CPU threads (default: what torch chooses)."
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N (auto: a GPU if there is one)."),
]

PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", metavar="auto|f32|bf16", help="Arithmetic (auto: bf16 where the hardware has it)."
    ),
]

PredictPrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="f32|bf16|auto",
        help="Arithmetic (auto: bf16 where the hardware has it and a check on the run's own validation "
        "pictures finds next to no loss).",
    ),
]

_OURS = (
    *("run.json", "compare.json", "predictions.json", "predict.json", "explanation.json"),
    "proposals.jsonl",
)


def use_threads(threads: int | None) -> None:
    """Give torch this many threads; without a number, leave it alone."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def find_device(name: str) -> torch.device:
    """The device of that name. Raises UsageError for no such name, DeviceError where it is absent."""
    import torch

    there = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda" if there else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, colon, number = name.partition(":")
    if kind != "cuda" or (colon and not number.isdecimal()):
        raise UsageError(f"no device '{name}': give auto, cpu, cuda or cuda:N")
    if int(number or 0) >= there:
        has = f"the highest is cuda:{there - 1}" if there else "this machine or this build of torch has none"
        raise DeviceError(f"device '{name}' is absent: {has}; --device cpu always works")
    return torch.device(kind, int(number)) if number else torch.device(kind)


def processes(device: str) -> AbstractContextManager[Peers]:
    """The processes that torchrun started, or this one alone, and the device that it works on."""
    from neocog.distributed.connect import connect

    return connect(find_device(device))


def settle_precision(precision: str, run: Path, device: torch.device, file: TextIO) -> str:
    """`f32` or `bf16`; what `auto` comes to is printed. Raises UsageError for another word."""
    from neocog.bf16_check import choose_precision
    from neocog.precision import check_precision

    check_precision(precision)
    if precision != "auto":
        return precision
    chosen, reason = choose_precision(run, device)
    print(reason, file=file)
    return chosen


def output(json_target: str | None, first: bool = True) -> TextIO:
    """Where people's text goes: standard output, unless JSON takes it. Only the first of several processes
    speaks."""
    if not first:
        return io.StringIO()
    return sys.stderr if json_target == "-" else sys.stdout


def as_json(value: Any) -> bytes:
    """A result as a JSON file in UTF-8.

    What is not a finite number becomes null. Bytes of a file's name that are no UTF-8 become JSON escapes.
    """
    text = json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace")


def write_json(value: Any, target: str | None) -> None:
    """Write a result as JSON to a file, to standard output for `-`, or nowhere for None.

    Raises UsageError when the file cannot be written, DiskError when there is no room.
    """
    if target is not None:
        write_json_pieces([as_json(value)], target)


def write_json_pieces(pieces: Iterable[bytes], target: str) -> None:
    """As `write_json`, of a document too large to be held: whole lines come one piece after another."""
    if target == "-":
        sys.stdout.writelines(piece.decode() for piece in pieces)
        return
    try:
        with Path(target).open("wb") as file:
            file.writelines(pieces)
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskError(f"--json {target}: {error.strerror}; free some space") from error
        raise UsageError(f"--json {target}: cannot be written ({error.strerror})") from error


def print_table(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    title: str = "",
    file: TextIO | None = None,
) -> None:
    """Print rows under headings: a Rich table on a terminal, aligned plain text otherwise.

    None prints as `-`, a float with four significant digits; columns of numbers are aligned right.
    """
    file = file or sys.stdout
    cells = [[_cell(value) for value in row] for row in rows]
    right = [all(_is_number(row[column]) for row in rows) for column in range(len(headings))]
    if file.isatty():
        _print_rich(headings, cells, right, title, file)
        return
    if title:
        print(title, file=file)
    widths = [max(len(row[column]) for row in [headings, *cells]) for column in range(len(headings))]
    for row in [headings, *cells]:
        columns = zip(row, widths, right, strict=True)
        line = "  ".join(cell.rjust(width) if flush else cell.ljust(width) for cell, width, flush in columns)
        print(line.rstrip(), file=file)


def _print_rich(
    headings: Sequence[str], cells: list[list[str]], right: list[bool], title: str, file: TextIO
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", box=SIMPLE_HEAD)
    for heading, flush in zip(headings, right, strict=True):
        table.add_column(Text(heading), justify="right" if flush else "left")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console(file=file).print(table)


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def check_out(
    path: str | Path, *, overwrite: bool = False, resume: bool = False, reads: Iterable[str | Path] = ()
) -> Path:
    """Make sure that `--out` may be written, without touching it, and return it.

    Raises UsageError for an existing folder without `resume` or `overwrite`, for one that `overwrite` should
    not remove because no run of ours left it or because it holds one of `reads`, what the command is to read,
    and for a path that cannot be a folder.
    """
    out = Path(path)
    if overwrite and resume:
        raise UsageError("--resume continues a run and --overwrite starts it again: give one of them")
    if out.is_symlink() and not out.exists():
        raise UsageError(f"--out {out}: is a link to nothing")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file, not a folder")
    if out.is_dir() and not resume:
        _check_removal(out, overwrite, reads)
    check_above(out)
    return out


def check_file(flag: str, path: Path, suffix: str, *, overwrite: bool) -> None:
    """Raise UsageError unless this flag's file, whose name ends in `suffix`, may be written."""
    if path.suffix.lower() != suffix:
        what = suffix.removeprefix(".").upper()
        raise UsageError(f"{flag} {path}: the format is {what}; give a name that ends in {suffix}")
    if path.is_dir():
        raise UsageError(f"{flag} {path}: is a folder, not a file")
    check_above(path, flag)
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"{flag} {path}: exists already; give --overwrite or another name")


def check_above(out: Path, flag: str = "--out") -> None:
    """Raise UsageError where folders cannot be made down to an `--out`, because one above it is a file."""
    # As given, not absolute: folders above the current one may be closed to us.
    there = next((folder for folder in out.parents if folder.exists()), Path())
    if not there.is_dir():
        raise UsageError(f"{flag} {out}: cannot be made ({there} is a file)")


def _check_removal(out: Path, overwrite: bool, reads: Iterable[str | Path]) -> None:
    """Raise UsageError unless an existing `--out` is to be removed, and a run of ours left it."""
    if not overwrite:
        raise UsageError(f"--out {out}: exists already; give --overwrite, --resume or another folder")
    if any(out.iterdir()) and not any((out / name).is_file() for name in _OURS):
        raise UsageError(
            f"--out {out}: holds none of {', '.join(_OURS)}, so it is not ours to remove and is left alone"
        )
    if out.is_symlink():
        raise UsageError(f"--out {out}: is a link; give the folder itself to have it overwritten")
    for one in reads:
        real = Path(os.path.realpath(one))  # unlike Path.resolve it lets a loop of links pass
        if Path(os.path.realpath(out)) in (real, *real.parents):
            raise UsageError(f"--out {out}: holds {one}, which is to be read; give another folder")


def prepare_out(path: str | Path, *, overwrite: bool = False, resume: bool = False) -> Path:
    """Make `--out`, and return it: empty, unless it is resumed. Raises UsageError as `check_out`.

    For the moment when there is something to write: whatever fails before leaves no empty folder behind, and
    removes no earlier run.
    """
    out = check_out(path, overwrite=overwrite, resume=resume)
    if out.is_dir() and not resume:
        try:
            shutil.rmtree(out)
        except OSError as error:
            raise UsageError(f"--out {out}: cannot be removed ({error.strerror})") from error
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be made ({error.strerror})") from error
    return out
