"""The command line's frame: exit codes, one line a failure, help that answers at once."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
import typer
from PIL import Image

import neocog.errors
from neocog.cli import app, main
from neocog.errors import NeocogError
from neocog.version import __version__

ERRORS = [
    kind for kind in vars(neocog.errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
]


def verbs(command: Any = None, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every verb, as the words that call it."""
    command = command or typer.main.get_command(app)
    if not hasattr(command, "commands"):
        return [path]
    return [verb for name, child in command.commands.items() for verb in verbs(child, (*path, name))]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make `neocog doctor` fail with an exception."""

    def install(error: BaseException) -> None:
        def fail(*_: object) -> NoReturn:
            raise error

        monkeypatch.setattr("neocog.cli.doctor.find_device", fail)

    monkeypatch.delenv("NEOCOG_DEBUG", raising=False)
    return install


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_of_the_users_is_its_line_and_its_code(
    kind: type[NeocogError], failing: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    failing(kind("data/a.xml: no <bndbox>\n(file left out)"))
    assert main(["doctor"]) == kind.exit_code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "neocog: data/a.xml: no <bndbox> (file left out)\n")


def test_exit_codes_are_those_of_the_manual() -> None:
    codes = {kind.__name__: kind.exit_code for kind in ERRORS}
    assert codes == {
        "NeocogError": 1,
        "UsageError": 2,
        "DataError": 3,
        "CheckpointError": 4,
        "DiskError": 5,
        "NumbersError": 6,
        "DeviceError": 7,
        "Interrupted": 130,
    }


def test_a_bug_is_one_line_unless_debugging(
    failing: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(ZeroDivisionError("division\nby zero"))
    assert main(["doctor"]) == 1
    quiet = capsys.readouterr().err
    assert (
        quiet == "neocog: ZeroDivisionError: division by zero (a bug of ours; --debug shows the traceback)\n"
    )
    for words in (["--debug", "doctor"], ["doctor", "--debug"]):
        assert main(words) == 1
        loud = capsys.readouterr().err
        assert "Traceback" in loud and loud.endswith(quiet)
    monkeypatch.setenv("NEOCOG_DEBUG", "1")
    assert main(["doctor"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_debug_after_two_dashes_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--", "--debug"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_full_disk_is_code_5(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(OSError(errno.ENOSPC, "No space left on device", "runs/a/last"))
    assert main(["doctor"]) == 5
    assert capsys.readouterr().err == "neocog: runs/a/last: No space left on device\n"


def test_an_interrupt_is_code_130(failing: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failing(KeyboardInterrupt())
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "neocog: interrupted\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["doctr"], "'doctor'"),
        (["doctor", "--jsn", "x"], "--json"),
        (["data", "chek", "."], "'check'"),
        (["data"], "neocog data --help"),
        (["data", "check"], "neocog data check --help"),
        (["doctor", "--threads", "many"], "'--threads'"),
        (["doctor", "--threads", "0"], "'--threads'"),
        (["doctor", "--device", "gpu"], "auto, cpu, cuda"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_code_2_and_a_hint(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("neocog: ") and err.count("\n") == 1
    assert hint in err


def test_no_words_at_all_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert all(verb[0] in out for verb in verbs())
    assert "130 interrupted" in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"neocog {__version__}\n"


@pytest.mark.parametrize("verb", verbs(), ids=" ".join)
def test_every_verb_shows_an_example_of_itself(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*verb, "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert f"Example: neocog {' '.join(verb)}" in words


HELP = """
import sys
from neocog.cli import main
assert main(["--help"]) == 0
heavy = {"torch", "numpy", "numba", "pydantic", "rich", "PIL"}
print(*sorted(heavy & sys.modules.keys()), file=sys.stderr)
"""


def test_help_answers_at_once_because_it_imports_nothing_heavy() -> None:
    took = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
        took.append(time.perf_counter() - began)
        assert done.stderr.strip() == ""
        if took[-1] < 0.4:
            break
    assert min(took) < 0.8  # 0.2 s on an idle machine


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows such names everywhere")
def test_a_name_that_is_no_utf8_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / "a.txt").write_text("0 0.5 0.5 1 1\n")
    assert main(["data", "check", str(folder)]) in (0, 3)
    assert "caf\\udce9: yolo" in capsys.readouterr().out


def test_as_a_process_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "neocog", "doctr"],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr.startswith("neocog: ") and done.stderr.count("\n") == 1
