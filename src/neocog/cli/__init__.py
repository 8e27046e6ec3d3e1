"""The command line: one verb a file, and every failure as one line and an exit code.

Exit codes: 0 good, 1 a bug of ours, 2 usage, 3 data, 4 model or checkpoint, 5 disk, 6 numbers not finite,
7 device, 130 interrupted. Verb files import what they need when they run, so that `--help` answers at once.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from neocog.cli import (
    compare,
    convert,
    data,
    doctor,
    evaluate,
    explain,
    export,
    figures,
    filter,
    lab,
    models,
    predict,
    proposals,
    push,
    summary,
    train,
)
from neocog.data.files import printable
from neocog.errors import DeviceError, DiskError, NeocogError, UsageError, is_out_of_memory
from neocog.version import __version__

_UsageMistake: type[Exception] = typer.BadParameter.__bases__[0]
"""What typer raises for a wrong command line. It is public only as the parent of `BadParameter`."""

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}

_LESS_MEMORY = {
    "train": "give a smaller --batch or --size, or fewer --workers",
    "compare": "give a smaller --size, or fewer --workers",
    "evaluate": "give a smaller --batch, or fewer --workers",
    "predict": "end other programs, or give smaller pictures",
}
"""What a verb's user can do about want of memory."""

_REFUSED = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM}
"""What the system says of a path that it does not even look up."""

app = typer.Typer(
    help="The convolutional vision family: train, measure, compare and look inside.",
    epilog="Exit codes: 0 good, 1 a bug of ours, 2 usage, 3 data, 4 model or checkpoint, 5 disk, "
    "6 numbers not finite, 7 device, 130 interrupted. With --debug a failure shows its traceback.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train", epilog=train.EXAMPLE)(train.train)
app.command("evaluate", epilog=evaluate.EXAMPLE)(evaluate.evaluate)
app.command("predict", epilog=predict.EXAMPLE)(predict.predict)
app.command("compare", epilog=compare.EXAMPLE)(compare.compare)
app.command("explain", epilog=explain.EXAMPLE)(explain.explain)
app.command("export", epilog=export.EXAMPLE)(export.export)
app.command("filter", epilog=filter.EXAMPLE)(filter.filter)
app.command("figures", epilog=figures.EXAMPLE)(figures.figures)
app.command("models", epilog=models.EXAMPLE)(models.models)
app.command("summary", epilog=summary.EXAMPLE)(summary.summary)
app.command("lab", epilog=lab.EXAMPLE)(lab.lab)
app.add_typer(data.app, name="data")
app.command("proposals", epilog=proposals.EXAMPLE)(proposals.proposals)
app.command("convert-weights", epilog=convert.EXAMPLE)(convert.convert_weights)
app.command("push", epilog=push.EXAMPLE)(push.push)
app.command("doctor", epilog=doctor.EXAMPLE)(doctor.doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"neocog {__version__}")
        raise typer.Exit


@app.callback()
def _neocog(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit."),
    ] = False,
) -> None:
    """Options that need no verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may hold anything
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # huge pages for torch: steps a sixth shorter
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # or a lost process is told of in thirty lines
    words, debug = _take_debug(sys.argv[1:] if argv is None else argv)
    try:
        code = app(words or ["--help"], prog_name="neocog", standalone_mode=False)
        if code == 130:  # typer turns Ctrl-C into this
            return _fail("interrupted", 130)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _explain(error, words)


def _take_debug(argv: Sequence[str]) -> tuple[list[str], bool]:
    """The command line without `--debug`, which may stand anywhere before `--`, and whether it was there."""
    end = list(argv).index("--") if "--" in argv else len(argv)
    words = [word for word in argv[:end] if word != "--debug"]
    return [*words, *argv[end:]], len(words) < end or os.environ.get("NEOCOG_DEBUG") == "1"


def _explain(error: Exception, words: Sequence[str]) -> int:
    """Say what went wrong in one line on standard error, and return the exit code."""
    if isinstance(error, NeocogError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, _UsageMistake):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "neocog"
        return _fail(f"{_message(error)} (see {command} --help)", UsageError.exit_code)
    if isinstance(error, OSError) and error.errno in _DISK:
        return _fail(f"{error.filename or 'the disk'}: {error.strerror}", DiskError.exit_code)
    if isinstance(error, OSError) and error.errno in _REFUSED:
        name = printable(os.fsdecode(error.filename or "a path"))
        return _fail(f"{name}: {(error.strerror or 'refused').lower()}", UsageError.exit_code)
    if is_out_of_memory(error):
        remedy = _LESS_MEMORY.get(words[0] if words else "", "end other programs")
        asked = re.search(r"llocate (\d+ bytes|[\d.]+ [KMGT]iB)", str(error))
        wanted = f" ({asked[1]} more were asked for)" if asked else ""
        return _fail(f"out of memory{wanted}; {remedy}", DeviceError.exit_code)
    name = type(error).__name__
    return _fail(f"{name}: {error} (a bug of ours; --debug shows the traceback)", 1)


def _message(error: Exception) -> str:
    """The text of one of typer's own errors, without its final stop."""
    return str(getattr(error, "format_message", error.__str__)()).rstrip(".")


def _fail(message: str, code: int) -> int:
    print(f"neocog: {' '.join(message.split())}", file=sys.stderr)
    return code
