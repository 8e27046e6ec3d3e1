"""Want of memory: one line with a remedy and exit code 7, whoever of Python, NumPy and torch notices."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from neocog.checkpoint import Checkpoint, taking_up
from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.workers import Pool
from neocog.data.write import write_dataset
from neocog.errors import DataError, is_out_of_memory
from neocog.predict import Predictor
from neocog.weights import parse

HUGE = 1 << 55  # bytes: no system gives them, so none of them is touched
SHORT = ["--size", "64", "--threads", "1", "--workers", "0", "--steps", "1"]


def by_python() -> None:
    _ = bytearray(HUGE)


def by_numpy() -> None:
    np.empty(HUGE, np.uint8)


def by_torch() -> None:
    torch.empty(HUGE, dtype=torch.uint8)


def by_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")


WAYS = [by_python, by_numpy, by_torch, by_a_gpu]


def remedied(error: str, *words: str) -> None:
    assert error.startswith("neocog: ") and error.count("\n") == 1, error
    assert all(word in error for word in ("memory", "smaller ", *words)), error


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("memory") / "data"
    splits = {name: Scenes("std", name, count=6, size=64) for name in ("train", "val", "test")}
    write_dataset(splits, target, "voc")
    return target


@pytest.mark.parametrize("way", WAYS)
def test_it_is_known_also_from_a_loader_process(way: Callable[[], None]) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        way()
    assert is_out_of_memory(caught.value)
    pool = Pool(lambda _: way(), 1)
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        list(pool.map([0]))
    assert is_out_of_memory(caught.value)
    pool.close()


def test_other_errors_are_not_it() -> None:
    for error in (RuntimeError("shape mismatch"), ValueError("out of memory"), DataError("out of memory")):
        assert not is_out_of_memory(error)


@pytest.mark.parametrize("way", WAYS)
def test_every_verb_says_so(
    way: Callable[[], None],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    train = ["train", "faster-rcnn", "--data", str(data), "--out", str(out), *SHORT]
    assert main(train) == 0
    monkeypatch.setattr(Predictor, "run_among", lambda *_: way())
    picture = next((data / "JPEGImages").iterdir())
    for words, remedy in (
        (["evaluate", str(out), "--threads", "1"], "--batch"),
        (["predict", str(out), str(picture), "--out", str(tmp_path / "found")], "pictures"),
        ([*train, "--overwrite"], "--batch or --size"),
        (["compare", *train[1:4], "--out", str(tmp_path / "c"), *SHORT], "--size"),
    ):
        capfd.readouterr()
        assert main(words) == 7, words
        remedied(capfd.readouterr().err, remedy)


@pytest.mark.parametrize(
    "words", [["--size", "16384", "--batch", "100000"], ["--size", "64", "--batch", "1000000000"]]
)
def test_what_cannot_fit_is_refused_before_anything_is_loaded(
    words: list[str], data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = ["train", "faster-rcnn", "--data", str(data), "--out", str(out), "--steps", "1", *words]
    assert main(command) == 7
    remedied(capfd.readouterr().err, "--batch or --size", "GiB")
    assert not out.exists()


LIMITED = """
import resource, sys
import torch
from pathlib import Path
from neocog.cli import main
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (1200 << 20),) * 2)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs the size of a process")
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_process_with_little_memory(workers: str, data: Path, tmp_path: Path) -> None:
    words = ["train", "faster-rcnn", "--data", str(data), "--out", str(tmp_path / "run"), "--steps", "1"]
    words += ["--size", "2048", "--batch", "64", "--threads", "1", "--workers", workers]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr
    remedied(done.stderr, "--batch or --size")


def test_it_says_nothing_of_a_file_or_a_checkpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever believed a checkpoint damaged would start again."""
    monkeypatch.setattr("safetensors.torch.load", lambda _: by_torch())
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"):
        parse((2).to_bytes(8, "little") + b"{}", tmp_path / "a.safetensors")
    whole = Checkpoint(1, {}, {}, tmp_path)
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"), taking_up(whole):
        by_torch()
