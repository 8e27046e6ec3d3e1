"""`predict` on many pictures: killed and gone on with, shared by processes, the same files to the byte."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from tests.test_distributed import finish, start

from neocog.cli import main
from neocog.data.digits import Digits

PICTURES, BROKEN = 30, 7


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier, pictures, and what an undisturbed process makes of them."""
    home = tmp_path_factory.mktemp("stream")
    words = ["train", "notes-digit", "--data", "scenes:digits", "--steps", "2", "--val-split", "none"]
    assert main([*words, "--workers", "0", "--threads", "1", "--out", str(home / "run")]) == 0
    (home / "pictures").mkdir()
    digits = Digits("test")
    for number in range(PICTURES):
        Image.fromarray(digits[number].image).save(home / "pictures" / f"{number:03d}.png")
    (home / "pictures" / f"{BROKEN:03d}.png").write_text("no picture")
    assert main(words_for(home, home / "whole")) == 0
    return home


def words_for(home: Path, out: Path, *more: str) -> list[str]:
    return ["predict", str(home / "run"), str(home / "pictures"), "--out", str(out), *more]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in path.read_text().splitlines()]


def test_what_one_process_leaves(home: Path) -> None:
    found = files(home / "whole")
    assert len(found) == PICTURES - 1 + 3
    assert numbers(home / "whole" / "predictions.jsonl") == list(range(PICTURES))
    document = json.loads(found["predictions.json"])
    assert len(document["images"]) == PICTURES - 1 and len(document["skipped"]) == 1
    lines = [json.loads(line) for line in found["predictions.jsonl"].splitlines()]
    assert document["images"] == [line for line in lines if "skipped" not in line]
    assert lines[BROKEN] == {"number": BROKEN, "skipped": document["skipped"][0]}


def test_killed_and_gone_on_with(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "neocog", *words_for(home, out, "--threads", "1")]
    done = subprocess.run(command, env=os.environ | {"NEOCOG_FAIL_AT": "before-record-19"}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert numbers(out / "predictions.jsonl") == list(range(19))
    with (out / "predictions.jsonl").open("ab") as file:
        file.write(b'{"number": 19, "sour')  # half a line reached the disk
    capfd.readouterr()
    assert main(words_for(home, out, "--resume")) == 0
    said = capfd.readouterr().out
    assert f"resumed: 19 of {PICTURES} pictures are done" in said and "018.png" not in said
    assert files(out) == files(home / "whole")
    assert main(words_for(home, out, "--resume")) == 0  # nothing left to do
    assert files(out) == files(home / "whole")


def test_several_processes_leave_the_same_whoever_dies(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["-m", "neocog", *words_for(home, out, "--threads", "1")]
    os.environ["NEOCOG_FAIL_AT"] = "before-record-11"  # whoever takes it
    try:
        ends = finish(start(words))
    finally:
        del os.environ["NEOCOG_FAIL_AT"]
    (code, errors), died = sorted(((code, errors) for code, _, errors in ends), reverse=True)
    assert died == (-signal.SIGKILL, "") and code == 7
    assert "another process of this run has ended" in errors and errors.count("\n") == 1
    assert 0 < sum(len(numbers(part)) for part in out.glob("predictions-*.jsonl")) < PICTURES
    ends = finish(start([*words, "--resume"], size=3))
    assert [code for code, _, _ in ends] == [0, 0, 0], ends
    assert [said for _, said, _ in ends[1:]] == ["", ""], "only the first process speaks"
    assert "not an image" in ends[0][1]  # whoever found it
    assert files(out) == files(home / "whole")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_a_signal_ends_it_with_one_line(home: Path, tmp_path: Path) -> None:
    many, out = tmp_path / "many.txt", tmp_path / "out"
    many.write_text(f"{home / 'pictures' / '000.png'}\n" * 3000)
    words = ["predict", str(home / "run"), "--list", str(many), "--no-draw", "--out", str(out)]
    child = subprocess.Popen(
        [sys.executable, "-m", "neocog", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while child.poll() is None and not (out / "predictions.jsonl").exists():
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    _, errors = child.communicate(timeout=60)
    done = len(numbers(out / "predictions.jsonl"))
    assert child.returncode == 130 and 0 < done < 3000
    assert errors == f"neocog: interrupted: {done} of 3000 pictures are done; --resume goes on from there\n"


def test_another_job_is_refused(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, other = tmp_path / "out", tmp_path / "other"
    shutil.copytree(home / "whole", out)
    shutil.copytree(home / "run", other)
    words = ["train", "notes-digit", "--data", "scenes:digits", "--steps", "1", "--val-split", "none"]
    assert main([*words, "--workers", "0", "--threads", "1", "--out", str(other), "--overwrite"]) == 0
    model = words_for(home, out, "--resume")
    model[1] = str(other)
    for words, told in (
        (words_for(home, out, "--resume", "--conf", "0.25"), "conf = 0.5, not 0.25"),
        (words_for(home, out, "--resume", "--no-draw"), "draw = true, not false"),
        (words_for(home, out, "--resume", str(home / "pictures")), f"pictures = {PICTURES}, not"),
        (model, "another model"),
    ):
        capfd.readouterr()
        assert main(words) == 2
        error = capfd.readouterr().err
        assert told in error and error.count("\n") == 1, error
    assert files(out) == files(home / "whole")
    (out / "predict.json").write_text("[")
    assert main(words_for(home, out, "--resume")) == 4


def test_a_list_of_pictures(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    names = [str(home / "pictures" / f"{number:03d}.png") for number in (2, 1, 2)]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(names).encode())))
    out = tmp_path / "out"
    words = ["predict", str(home / "run"), "--out"]
    assert main([*words, str(out), "--list", "-", "--json", str(tmp_path / "all.json")]) == 0
    document = json.loads((out / "predictions.json").read_text())
    assert [one["source"] for one in document["images"]] == names
    assert [one["drawn"] for one in document["images"]] == ["002.png", "001.png", "002-2.png"]
    assert (tmp_path / "all.json").read_bytes() == (out / "predictions.json").read_bytes()
    capfd.readouterr()
    assert main([*words, str(tmp_path / "none")]) == 2
    assert "give files, folders or globs, or --list FILE" in capfd.readouterr().err
    assert main([*words, str(tmp_path / "none"), "--list", str(tmp_path / "absent")]) == 3


def test_pictures_are_not_overwritten(home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Nor where only a list or a glob says that they lie in DIR."""
    out = tmp_path / "out"
    shutil.copytree(home / "whole", out)
    words = ["predict", str(home / "run"), str(out / "*.png"), "--out", str(out), "--overwrite"]
    assert main(words) == 2
    assert "which is to be read" in capfd.readouterr().err
    assert files(out) == files(home / "whole")
