"""Atomic files and the log of lines, on disks that refuse."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.references.disks import file_size_limit, read_only

from neocog.errors import DiskError
from neocog.files import (
    JsonLines,
    make_folder,
    point_link,
    read_link,
    sweep_temporaries,
    write_atomic,
    write_folder,
)


def logged(log: JsonLines) -> list[int]:
    return [json.loads(line)["step"] for line in log.path.read_text().splitlines()]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_atomic_replaces_text_and_bytes(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_atomic(path, "first, with an é")
    assert path.read_text(encoding="utf-8") == "first, with an é"
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["report.html"]


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes")
def test_files_have_the_mode_that_open_gives(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    write_atomic(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("limit", [0, 1, 50, 99])
def test_full_disk_keeps_the_old_file(limit: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, "old")
    with file_size_limit(limit), pytest.raises(DiskError) as caught:
        write_atomic(path, b"x" * 100)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert "free some space" in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_full_disk_leaves_no_folder(tmp_path: Path) -> None:
    with file_size_limit(50), pytest.raises(DiskError):
        write_folder(tmp_path / "folder", [("small", b"x" * 10), ("large", b"x" * 100)])
    assert names(tmp_path) == []


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    for write in (
        lambda: write_atomic(tmp_path / "taken" / "file", "x"),
        lambda: write_folder(tmp_path / "taken" / "folder", [("a", b"x")]),
        lambda: point_link(tmp_path / "taken" / "link", "target"),
        lambda: make_folder(tmp_path / "taken"),
        lambda: make_folder(tmp_path / "taken" / "below"),
    ):
        with pytest.raises(
            DiskError, match=r"^\S*taken\S*: cannot be written \(.+\); make its folder writable"
        ):
            write()
    assert names(tmp_path) == ["taken"]


def test_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with read_only(Path()), pytest.raises(DiskError, match="Permission denied"):
        write_atomic(Path("file"), "x")
    assert names(tmp_path) == []


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> Iterator[tuple[str, bytes]]:
        yield "a", b"x"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "folder", interrupted())
    assert names(tmp_path) == []


@pytest.mark.parametrize("symbolic", [True, False])
def test_links_with_and_without_symbolic_links(
    symbolic: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not symbolic:

        def refuse(*_: object) -> None:
            raise OSError(1, "Operation not permitted")

        monkeypatch.setattr(Path, "symlink_to", refuse)
    link = tmp_path / "last"
    assert read_link(link) is None
    for target in ("a/one", "a/two"):
        point_link(link, target)
        assert read_link(link) == tmp_path / target
        assert link.is_symlink() == symbolic
    assert names(tmp_path) == ["last"]


def test_a_folder_in_the_place_of_a_link_gives_way(tmp_path: Path) -> None:
    link = tmp_path / "last"
    link.mkdir()
    (link / "inside").write_text("")
    assert read_link(link) == link
    point_link(link, "target")
    assert read_link(link) == tmp_path / "target"
    sweep_temporaries(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_sweep_removes_temporaries_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".file.0123abcd.tmp").write_text("")
    (tmp_path / ".folder.0123abcd.tmp").mkdir()
    (tmp_path / ".folder.0123abcd.tmp" / "inside").write_text("")
    (tmp_path / ".link.0123abcd.tmp").symlink_to("deep")
    kept = ["mine.tmp", ".mine.tmp", ".hidden", "file.0123abcd.tmp", ".file.0123abcd.tmp.txt"]
    for name in kept:
        (tmp_path / name).write_text("")
    sweep_temporaries(tmp_path)
    assert names(tmp_path) == sorted([*kept, "deep"])
    assert names(tmp_path / "deep") == []


def test_lines_are_json_with_sorted_keys_and_exact_floats(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "metrics.jsonl")
    record = {"step": 1, "loss": 0.1 + 0.2, "lr": math.nan, "parts": {"b": [1.0, -math.inf], "a": None}}
    assert log.append(record) is None
    assert log.append(dict(reversed(record.items()))) is None
    line = '{"loss": 0.30000000000000004, "lr": null, "parts": {"a": null, "b": [1.0, null]}, "step": 1}\n'
    assert log.path.read_text() == line * 2


def test_cut_keeps_the_steps_up_to_one_and_drops_a_torn_line(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "metrics.jsonl")
    log.cut(5)  # nothing there yet
    for step in range(1, 8):
        log.append({"step": step})
    whole = log.path.read_bytes()
    log.path.write_bytes(whole + b'{"loss": 0.5, "st')
    log.cut(5)
    assert logged(log) == [1, 2, 3, 4, 5]
    log.path.write_bytes(whole[:-1])  # only the newline is torn off
    log.cut(9)
    assert log.path.read_bytes() == whole
    log.cut(0)
    assert log.path.read_bytes() == b""


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 9), max_size=8), st.integers(0, 9), st.binary(max_size=30))
def test_cut_survives_any_torn_end(tmp_path_factory: Any, steps: list[int], step: int, torn: bytes) -> None:
    log = JsonLines(tmp_path_factory.mktemp("log") / "metrics.jsonl")
    for number in steps:
        log.append({"step": number})
    with log.path.open("ab") as file:
        file.write(b'{"step": ' + torn.replace(b"}", b""))
    log.cut(step)
    assert logged(log) == [n for n in steps if n <= step]


def test_a_log_on_a_full_disk_warns_once_and_goes_on(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "metrics.jsonl")
    log.append({"step": 1})
    with file_size_limit(20):
        warning = log.append({"step": 2, "loss": 0.5})
        assert warning is not None
        assert str(log.path) in warning
        assert "\n" not in warning
        assert log.append({"step": 3}) is None
    assert log.lost == 2
    log.append({"step": 4})
    assert logged(log) == [1, 4]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_on_dev_full_warns_once_and_goes_on() -> None:
    log = JsonLines(Path("/dev/full"))
    warnings = [log.append({"step": step}) for step in range(3)]
    assert "No space left on device" in str(warnings[0])
    assert warnings[1:] == [None, None]
    log.sync()


def test_a_log_without_its_folder_warns(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "gone" / "metrics.jsonl")
    assert "No such file" in str(log.append({"step": 1}))
    log.sync()
    log.cut(3)
