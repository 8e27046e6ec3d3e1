"""Checkpoints: exact, verified, never lost to a disk or a number that fails. Kills: test_checkpoint_kills."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.references.disks import file_size_limit, flipped_bits, read_only

import neocog.checkpoint
from neocog.checkpoint import (
    load_checkpoint,
    mark_best,
    save_checkpoint,
    sweep,
)
from neocog.errors import CheckpointError, DiskError, NumbersError

FILES = ["weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"]


def save(run: Path, step: int, *, best: bool = False) -> Path:
    value = torch.full((4, 3), float(step))
    tensors = {"weights": {"w": value}, "ema": {"w": value}, "optimizer": {"0.step": value[0, 0]}}
    return save_checkpoint(run, step, tensors, {"lr": 0.1, "classes": ["b", "a"]}, best=best)


def step_of(run: Path, which: Any = "last") -> int | None:
    found = load_checkpoint(run, which)
    return None if found is None else found.step


def steps(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def one_line(call: Callable[[], object], *words: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        call()
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "run") is None
    folder = save(tmp_path / "run", 7)
    found = load_checkpoint(tmp_path / "run")
    assert found is not None
    assert (found.step, found.state) == (7, {"lr": 0.1, "classes": ["b", "a"]})
    assert found.path.resolve() == folder
    assert torch.equal(found.tensors["ema"]["w"], torch.full((4, 3), 7.0))
    assert found.tensors["optimizer"]["0.step"].shape == ()
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert (tmp_path / "run" / "last").readlink() == Path("checkpoints/step-7")


def test_only_what_last_and_best_need_is_kept(tmp_path: Path) -> None:
    save(tmp_path, 1)
    assert step_of(tmp_path, "best") is None
    save(tmp_path, 2, best=True)
    save(tmp_path, 3)
    save(tmp_path, 4)
    assert (step_of(tmp_path), step_of(tmp_path, "best"), steps(tmp_path)) == (4, 2, ["step-2", "step-4"])
    mark_best(tmp_path)
    assert (step_of(tmp_path), step_of(tmp_path, "best"), steps(tmp_path)) == (4, 4, ["step-4"])
    sweep(tmp_path)
    assert steps(tmp_path) == ["step-4"]


def test_the_same_step_may_be_saved_again(tmp_path: Path) -> None:
    save(tmp_path, 5, best=True)
    for name in ("step-5-2", "step-5-3", "step-5-2"):
        assert save(tmp_path, 5).name == name
    assert (step_of(tmp_path), steps(tmp_path)) == (5, ["step-5", "step-5-2"])
    assert save(tmp_path, 5, best=True).name == "step-5-3"
    assert (step_of(tmp_path, "best"), steps(tmp_path)) == (5, ["step-5-3"])


def test_mark_best_needs_a_checkpoint(tmp_path: Path) -> None:
    one_line(lambda: mark_best(tmp_path), "no checkpoint")


def test_pointer_files_where_links_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for step in (1, 2, 3):
        save(tmp_path, step, best=step == 2)
    assert (tmp_path / "last").read_text() == "checkpoints/step-3"
    assert (step_of(tmp_path), step_of(tmp_path, "best"), steps(tmp_path)) == (3, 2, ["step-2", "step-3"])
    (tmp_path / "last").write_bytes(b"checkpoints/step-\x00\xff")
    one_line(lambda: load_checkpoint(tmp_path), "`best` (step 2) is intact")
    sweep(tmp_path)
    assert steps(tmp_path) == ["step-2", "step-3"]


def test_a_copy_that_lost_or_followed_its_links(tmp_path: Path) -> None:
    save(tmp_path / "run", 1, best=True)
    save(tmp_path / "run", 12)
    shutil.copytree(tmp_path / "run", tmp_path / "followed")
    assert not (tmp_path / "followed" / "last").is_symlink()
    shutil.copytree(tmp_path / "run", tmp_path / "lost", ignore=shutil.ignore_patterns("last", "best"))
    for name in ("followed", "lost"):
        run = tmp_path / name
        sweep(run)
        assert step_of(run) == 12
        save(run, 13, best=True)
        sweep(run)
        assert (step_of(run), step_of(run, "best"), steps(run)) == (13, 13, ["step-13"])
        assert (run / "last").is_symlink()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs the names of open files")
def test_all_is_on_the_disk_before_anything_relies_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a kill cannot show and a power cut would: the order of flushing, renaming and removing."""
    run = tmp_path / "run"
    save(run, 1, best=True)
    events: list[str] = []
    real_fsync = os.fsync

    def plain(name: str) -> str:
        return re.sub(r"^\.(.+)\.[0-9a-f]{8}\.tmp$", r"temporary \1", name)

    def fsync(descriptor: int) -> None:
        events.append(f"flush {plain(Path(f'/proc/self/fd/{descriptor}').readlink().name)}")
        real_fsync(descriptor)

    def renamer(real: Callable[[Path, Path], Path]) -> Callable[[Path, Path], Path]:
        def rename(path: Path, target: Path) -> Path:
            events.append(f"{plain(path.name)} -> {plain(target.name)}")
            return real(path, target)

        return rename

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamer(Path.replace))
    monkeypatch.setattr(Path, "rename", renamer(Path.rename))
    save(run, 2, best=True)
    assert events == [
        *(f"flush {name}" for name in FILES),
        "flush temporary step-2",
        "temporary step-2 -> step-2",
        "flush checkpoints",
        "temporary best -> best",
        "flush run",
        "temporary last -> last",
        "flush run",
        "step-1 -> temporary step-1",
    ]


@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_in_any_file_is_found(name: str, tmp_path: Path) -> None:
    for _ in flipped_bits(save(tmp_path, 3) / name):
        one_line(lambda: load_checkpoint(tmp_path), str(tmp_path), "--overwrite")
    assert step_of(tmp_path) == 3


@pytest.mark.parametrize("name", FILES)
def test_cut_and_missing_files(name: str, tmp_path: Path) -> None:
    save(tmp_path, 2, best=True)
    path = save(tmp_path, 3) / name
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 1 + len(data) // 50):
        path.write_bytes(data[:length])
        reason = (
            "not JSON" if name == "MANIFEST.json" else f"{length} bytes where the manifest says {len(data)}"
        )
        remedy = "`best` (step 2) is intact: make `last` point to checkpoints/step-2"
        one_line(lambda: load_checkpoint(tmp_path), f"{path}: damaged", reason, remedy)
    path.unlink()
    one_line(lambda: load_checkpoint(tmp_path), str(path), "cannot be read", "`best` (step 2) is intact")
    shutil.rmtree(tmp_path / "checkpoints" / "step-2")
    one_line(lambda: load_checkpoint(tmp_path), "`best` is damaged too")
    shutil.rmtree(tmp_path / "checkpoints" / "step-3")
    one_line(lambda: load_checkpoint(tmp_path), "step-3", "cannot be read")


@pytest.mark.parametrize(
    ("manifest", "word"),
    [
        ({"format": 2}, "newer version"),
        ({"format": 1}, "not a manifest"),
        ({"format": 1, "files": {}}, "state.json"),
        ({"format": 1, "files": {"state.json": []}}, "not a manifest"),
        ({"format": 1, "files": {"state.json": {"bytes": "x", "sha256": 3}}}, "state.json"),
        (
            {
                "format": 1,
                "files": {"a\0": {"bytes": 1, "sha256": ""}, "state.json": {"bytes": 1, "sha256": ""}},
            },
            "null",
        ),
        (
            {
                "format": 1,
                "files": {"..": {"bytes": 1, "sha256": ""}, "state.json": {"bytes": 1, "sha256": ""}},
            },
            "..",
        ),
    ],
)
def test_wrong_manifests_give_one_line(manifest: object, word: str, tmp_path: Path) -> None:
    (save(tmp_path, 1) / "MANIFEST.json").write_text(json.dumps(manifest))
    one_line(lambda: load_checkpoint(tmp_path), word)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float, tmp_path: Path) -> None:
    save(tmp_path, 1, best=True)
    good, bad = torch.ones(2), torch.tensor([1.0, value])
    with pytest.raises(NumbersError, match="step 2: tensor 'b' of ema holds NaN or infinity"):
        save_checkpoint(
            tmp_path, 2, {"weights": {"a": good}, "ema": {"a": good, "b": bad, "c": bad}}, {}, best=True
        )
    with pytest.raises(NumbersError, match="step 2: the state"):
        save_checkpoint(tmp_path, 2, {"weights": {"a": good}}, {"best": {"map": value}}, best=True)
    assert (step_of(tmp_path), step_of(tmp_path, "best"), steps(tmp_path)) == (1, 1, ["step-1"])


def check_refused(run: Path, *, best: bool = True) -> bool:
    """Try to save step 2 over step 1; if the disk refuses, all must be as before. Whether it was refused."""
    try:
        save(run, 2, best=best)
    except DiskError as error:
        assert "\n" not in str(error)
        assert (step_of(run), step_of(run, "best"), steps(run)) == (1, 1, ["step-1"])
        return True
    return False


def test_disk_full_at_any_size(tmp_path: Path) -> None:
    save(tmp_path, 1, best=True)
    refused = []
    for limit in range(0, 1001, 20):
        with file_size_limit(limit):
            refused.append(check_refused(tmp_path))
        if not refused[-1]:
            break
    assert refused.count(True) > 20
    assert not refused[-1]
    assert (step_of(tmp_path), steps(tmp_path)) == (2, ["step-2"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_disk_full_at_every_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The k-th file a save opens is /dev/full, which refuses as a full disk does."""
    save(tmp_path, 1, best=True)
    opened, real = 0, Path.open
    for full in range(1, len(FILES) + 1):
        opened = 0

        def open_full(path: Path, mode: str = "r", *rest: Any, full: int = full, **named: Any) -> Any:
            nonlocal opened
            opened += mode == "xb"
            return (
                real(Path("/dev/full"), "wb")
                if mode == "xb" and opened == full
                else real(path, mode, *rest, **named)
            )

        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", open_full)
            assert check_refused(tmp_path)
        assert opened == full
    assert not check_refused(tmp_path)


def test_a_read_only_run_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path("run")
    save(run, 1, best=True)
    (run / "checkpoints").chmod(0o777)
    for folders in ((run,), (run / "checkpoints",), (run, run / "checkpoints")):
        with read_only(*folders), pytest.raises(DiskError, match=r"cannot be written \(Permission denied\)"):
            save(run, 2, best=True)
        assert (step_of(run), step_of(run, "best")) == (1, 1)
        sweep(run)
        assert steps(run) == ["step-1"]
    save(run, 2)
    assert (step_of(run), step_of(run, "best")) == (2, 1)


def test_a_file_where_the_run_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(DiskError, match="cannot be written"):
        save(tmp_path / "run", 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "checkpoints").write_text("")
    with pytest.raises(DiskError, match="cannot be written"):
        save(tmp_path / "other", 1)


def test_what_reads_back_wrong_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1, best=True)
    real = neocog.checkpoint.read_file

    def lying(path: Path) -> bytes:
        data = real(path)
        return data[:-1] + bytes([data[-1] ^ 1]) if path.name == "ema.safetensors" else data

    with monkeypatch.context() as patch:
        patch.setattr("neocog.checkpoint.read_file", lying)
        with pytest.raises(DiskError, match="just after it was written"):
            save(tmp_path, 2, best=True)
    assert (step_of(tmp_path), step_of(tmp_path, "best"), steps(tmp_path)) == (1, 1, ["step-1"])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes")
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    document = json.loads((folder / "MANIFEST.json").read_text())
    document["files"]["ema.safetensors"]["bytes"] = 0
    (folder / "MANIFEST.json").write_text(json.dumps(document))
    (folder / "ema.safetensors").unlink()
    os.mkfifo(folder / "ema.safetensors")
    one_line(lambda: load_checkpoint(tmp_path), "ema.safetensors", "not a regular file")


def test_a_step_beyond_all_numbers(tmp_path: Path) -> None:
    folder = save(tmp_path, 1)
    state = (folder / "state.json").read_text().replace('"step": 1', '"step": 1e999')
    (folder / "state.json").write_text(state)
    document = json.loads((folder / "MANIFEST.json").read_text())
    digest = hashlib.sha256(state.encode()).hexdigest()
    document["files"]["state.json"] = {"bytes": len(state), "sha256": digest}
    (folder / "MANIFEST.json").write_text(json.dumps(document))
    one_line(lambda: load_checkpoint(tmp_path), "state.json", "not the state of a run")
