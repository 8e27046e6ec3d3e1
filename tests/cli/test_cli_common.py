"""Options, tables, JSON and output folders that the verbs share."""

from __future__ import annotations

import io
import json
import math
import os
from pathlib import Path

import pytest
import torch

from neocog.cli.common import find_device, output, prepare_out, print_table, use_threads, write_json
from neocog.errors import DeviceError, UsageError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


ROWS = [("faster-rcnn", 12.34567, 3, True), ("[red]ssd[/red]", None, 40, False)]


def test_plain_table_is_aligned_text() -> None:
    file = io.StringIO()
    print_table(("model", "ms", "n", "best"), ROWS, title="Two models", file=file)
    assert file.getvalue() == (
        "Two models\n"
        "model              ms   n  best\n"
        "faster-rcnn     12.35   3  yes\n"
        "[red]ssd[/red]      -  40  no\n"
    )


def test_table_without_rows_is_its_headings() -> None:
    file = io.StringIO()
    print_table(("model", "ms"), [], file=file)
    assert file.getvalue().split() == ["model", "ms"]


def test_terminal_table_shows_the_same_cells_and_obeys_no_markup() -> None:
    file = Terminal()
    print_table(("model", "ms", "n", "best"), ROWS, title="Two models", file=file)
    text = file.getvalue()
    assert all(cell in text for cell in ("Two models", "12.35", "[red]ssd[/red]", "yes", "40"))


def test_json_to_a_file_and_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"ap": 0.5, "lost": math.nan, "per": (1, math.inf), "name": "Zoë", 3: None}
    wanted = {"ap": 0.5, "lost": None, "per": [1, None], "name": "Zoë", "3": None}
    write_json(value, str(tmp_path / "result.json"))
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == wanted
    write_json(value, "-")
    assert json.loads(capsys.readouterr().out) == wanted
    write_json(value, None)
    assert capsys.readouterr().out == ""


def test_json_holds_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    write_json({"file": name}, str(tmp_path / "result.json"))
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == {"file": name}


def test_json_to_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--json .*gone/result\.json: cannot be written"):
        write_json({}, str(tmp_path / "gone" / "result.json"))


def test_json_on_standard_output_sends_text_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    print("text", file=output("-"))
    print("more", file=output("result.json"))
    out, err = capsys.readouterr()
    assert (out, err) == ("more\n", "text\n")


def test_threads_are_set_only_when_given() -> None:
    before = torch.get_num_threads()
    try:
        use_threads(None)
        assert torch.get_num_threads() == before
        use_threads(before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("there", [0, 1, 2])
def test_devices(there: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: there)
    assert find_device("cpu") == torch.device("cpu")
    assert find_device("auto") == torch.device("cuda" if there else "cpu")
    for number in range(2):
        if number < there:
            assert find_device(f"cuda:{number}") == torch.device(f"cuda:{number}")
        else:
            with pytest.raises(DeviceError, match=rf"'cuda:{number}' is absent.*--device cpu"):
                find_device(f"cuda:{number}")


@pytest.mark.parametrize("name", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda0"])
def test_device_names_that_mean_nothing(name: str) -> None:
    with pytest.raises(UsageError, match="give auto, cpu, cuda or cuda:N"):
        find_device(name)


def test_out_is_made(tmp_path: Path) -> None:
    assert prepare_out(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_an_existing_out_is_an_error_unless_resumed(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    with pytest.raises(UsageError, match="exists already"):
        prepare_out(tmp_path)
    assert prepare_out(tmp_path, resume=True) == tmp_path
    assert (tmp_path / "kept").read_text() == "x"


@pytest.mark.parametrize("mark", ["run.json", "compare.json", "predictions.json"])
def test_overwrite_removes_what_a_run_left(tmp_path: Path, mark: str) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / mark).write_text("{}")
    assert list(prepare_out(run, overwrite=True).iterdir()) == []


def test_overwrite_leaves_other_folders_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert prepare_out(home, overwrite=True) == home  # empty: nothing to lose
    (home / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="left alone"):
        prepare_out(home, overwrite=True)
    link = tmp_path / "link"
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    link.symlink_to(run)
    with pytest.raises(UsageError, match="is a link"):
        prepare_out(link, overwrite=True)
    assert (home / "thesis.tex").exists() and (run / "run.json").exists()


def test_outs_that_cannot_be_folders(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    for path, reason in (
        (file, "is a file"),
        (file / "below", "cannot be made"),
        (dangling, "link to nothing"),
    ):
        with pytest.raises(UsageError, match=reason):
            prepare_out(path)
    with pytest.raises(UsageError, match="give one of them"):
        prepare_out(tmp_path, overwrite=True, resume=True)
