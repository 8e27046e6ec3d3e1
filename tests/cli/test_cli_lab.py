"""`neocog lab`: what it prints, what it refuses, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lab.raw import ask

from neocog.cli import main


@pytest.mark.parametrize("port", ["-1", "65536", "http", "80.5"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--no-browser", "--port", port]) == 2
    assert "--port" in capsys.readouterr().err


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["lab", "--no-browser", "--port", str(port)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"--port {port}: cannot listen there (Address already in use); give another" in error


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.name.invalid", "not an address"])
def test_an_address_that_is_not_this_machines_is_told(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "--no-browser", "--port", "0", "--host", host]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and f"--host {host}" in error


@pytest.mark.parametrize("content", [None, "{", '{"task": "detect"}', "[]"])
def test_a_run_that_is_none_is_told(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    assert main(["lab", "--no-browser", "--port", "0", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(tmp_path) in error


@pytest.mark.parametrize("content", ["{", "[]", '{"task": "dance", "rows": []}', '{"task": "detect"}'])
def test_a_damaged_comparison_is_told(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compare.json").write_text(content)
    assert main(["lab", "--no-browser", "--port", "0", str(tmp_path)]) == 2
    assert "compare.json: cannot be read, or damaged" in capsys.readouterr().err


def started(*words: str) -> tuple[subprocess.Popen[str], str, str]:
    """A lab of its own, its address and the token in it, if any."""
    command = [sys.executable, "-m", "neocog", "lab", "--no-browser", "--port", "0", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"the lab is at (http://\S+:\d+)/(?:\?token=(\S+))? \(Ctrl-C ends it\)\n", line)
    assert found, line
    return process, found[1], found[2] or ""


def test_ctrl_c_ends_it_with_a_line() -> None:
    process, address, token = started()
    assert not token
    while True:
        try:
            assert ask(address, "/api/v1/health").status == 200
            break
        except ConnectionError:
            continue
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "the lab is closed\n", "")


def test_another_address_is_printed_with_its_token() -> None:
    process, address, token = started("--host", "0.0.0.0")
    try:
        here = address.replace("0.0.0.0", "127.0.0.1")
        assert len(token) >= 32
        assert ask(here, "/api/v1/health").status == 401
        assert ask(here, f"/?token={token}").status == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
