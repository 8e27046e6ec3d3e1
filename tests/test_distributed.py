"""Several processes: what one computes with the whole batch, and one line when one of them is gone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from neocog.checkpoint import load_checkpoint
from neocog.cli import main
from neocog.cli.training import run_options
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.plan import Machine
from neocog.run import Run

SCRIPT = Path(__file__).parent / "references" / "several.py"
STEPS, STOP = 8, 4


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start(words: list[str], size: int = 2) -> list[subprocess.Popen[str]]:
    """Processes that know of each other as torchrun would tell them."""
    port = free_ports(1)[0]
    common = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [
        subprocess.Popen(
            [sys.executable, *words],
            env=common | {"WORLD_SIZE": str(size), "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(size)
    ]


def finish(processes: list[subprocess.Popen[str]], seconds: float = 300) -> list[tuple[int, str, str]]:
    """Exit code, output and errors of each; none outlives this."""
    try:
        told = [process.communicate(timeout=seconds) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, *both) for process, both in zip(processes, told, strict=True)]


def record(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> list[float]:
    return [sum(line["losses"].values()) for line in record(run) if "losses" in line]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two processes do everything once; beside it, what one process does."""
    folder = tmp_path_factory.mktemp("several")
    splits = {
        name: Scenes("std", name, count=count) for name, count in (("train", 16), ("val", 3), ("test", 5))
    }
    write_dataset(splits, folder / "data", "voc")
    data = str(folder / "data")
    budget = ["--size", "64", "--batch", "5", "--steps", str(STEPS), "--lr", "1e-5", "--precision", "f32"]
    budget += ["--optimizer", "adamw"]  # which decision 0010 measured
    train = ["train", "faster-rcnn", "--data", data, *budget, "--val-split", "val", "--workers", "1"]
    given = {"batch": 5, "steps": STEPS, "lr": 1e-5, "precision": "f32", "seed": 0, "skip_bad_steps": 0}
    given["optimizer"] = "adamw"
    words = {
        "model": "faster-rcnn",
        "data": data,
        "backbone": None,
        "size": 64,
        "train_split": "train",
        "val_split": "val",
        "weights": None,
        "settings": None,
        "given": given,
    }
    assert main([*train, "--threads", "1", "--out", str(folder / "one")]) == 0
    for name in ("half", "stopped"):
        (folder / name).mkdir()
    half = Run(folder / "half", run_options(**words), Machine(workers=0))  # type: ignore[arg-type]
    for moment in half:
        if moment.step.number == STOP - 1:
            half.stop()
    assert half.stopped and half.training.step == STOP
    commands = [
        [*train, "--out", str(folder / "half"), "--resume"],
        ["evaluate", str(folder / "one"), "--precision", "f32", "--json", str(folder / "two.json")],
        ["predict", str(folder / "one"), data, "--conf", "0.01", "--out", str(folder / "two")],
    ]
    plan = {"ports": free_ports(4), "words": words, "stop": STOP, "commands": commands, "steps": 12}
    (folder / "plan.json").write_text(json.dumps(plan))
    results = finish(start([str(SCRIPT), "everything", str(folder)]))
    assert [code for code, _, _ in results] == [0, 0], "\n".join(errors for _, _, errors in results)
    (folder / "said.txt").write_text(results[0][1])
    assert results[1][1] == "", "only the first process speaks"
    assert main([*train, "--threads", "1", "--out", str(folder / "stopped"), "--resume"]) == 0
    return folder


def test_two_processes_compute_what_one_does(work: Path) -> None:
    """BatchNorm, totals, shares, losses in float64 and evaluation: asserted in both processes."""
    said = (work / "said.txt").read_text()
    assert "12 losses, batch 3" in said and "5 losses, batch 1" in said


@pytest.mark.parametrize("run", ["half", "stopped"])
def test_a_run_goes_on_with_another_number_of_processes(work: Path, run: str) -> None:
    """Half of the steps by one process and half by two, and the other way round."""
    whole, resumed = losses(work / "one"), losses(work / run)
    assert len(whole) == len(resumed) == STEPS
    assert [line["step"] for line in record(work / run)] == [line["step"] for line in record(work / "one")]
    assert resumed == pytest.approx(whole, rel=1e-4)
    first, second = load_checkpoint(work / "one"), load_checkpoint(work / run)
    assert first is not None and second is not None and second.step == STEPS
    for name, tensors in first.tensors.items():
        assert tensors.keys() == second.tensors[name].keys()
        assert all(tensor.shape == second.tensors[name][key].shape for key, tensor in tensors.items())
    for name in ("report.html", "evaluation.json", "model/model.safetensors"):
        assert (work / run / name).exists()
    weights, again = first.tensors["weights"], second.tensors["weights"]
    for name, value in weights.items():
        # Rounding may swap two of the regions that the head's BatchNorm takes its statistics from.
        swapped = name.startswith("head.") and "running_" in name
        assert torch.allclose(value, again[name], atol=3e-3 if swapped else 1e-3), name


def test_evaluation_and_prediction_are_shared(work: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", work / "two.json"
    assert main(["evaluate", str(work / "one"), "--precision", "f32", "--json", str(one)]) == 0
    alone, several = json.loads(one.read_text()), json.loads(two.read_text())
    assert alone.keys() == several.keys() and alone["images"] == 5
    for name in ("images", "metrics", "per_class"):
        assert alone[name] == several[name]
    found = tmp_path / "found"
    words = ["predict", str(work / "one"), str(work / "data"), "--conf", "0.01", "--out", str(found)]
    assert main(words) == 0
    files = sorted(path.name for path in found.iterdir())
    assert files == sorted(path.name for path in (work / "two").iterdir()) and len(files) == 27
    assert all((found / name).read_bytes() == (work / "two" / name).read_bytes() for name in files)


def gone(number: int, patience: float) -> tuple[int, str, float]:
    """A signal for the second of two processes: exit code and errors of the first, and how long it took."""
    processes = start([str(SCRIPT), "endless", str(patience)])
    assert processes[0].stdout is not None and processes[0].stdout.readline().strip()
    processes[1].send_signal(number)
    began = time.monotonic()
    processes[0].wait(timeout=60)
    seconds = time.monotonic() - began
    processes[1].kill()
    code, _, errors = finish(processes)[0]
    return code, errors, seconds


def test_the_death_of_a_process_ends_the_others_with_one_line() -> None:
    code, errors, seconds = gone(signal.SIGKILL, 25)
    assert code == 7 and seconds < 30
    assert errors.splitlines() == [errors.strip()] and "Traceback" not in errors
    assert errors.startswith("neocog: another process of this run has ended or cannot be reached")


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_fifty_losses(size: int) -> None:
    results = finish(start([str(SCRIPT), "losses", "50"], size))
    assert [code for code, _, _ in results] == [0] * size, "\n".join(errors for _, _, errors in results)
    assert "50 losses, batch 3" in results[0][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "lr"), [("fast-rcnn", "1e-4"), ("fast-rcnn", "1e-3"), ("faster-rcnn", "1e-4")]
)
def test_fifty_losses_in_float32(model: str, lr: str) -> None:
    """Two processes change losses about as much as another order of the pictures does."""
    results = finish(start([str(SCRIPT), "float32", model, "50", lr]))
    assert [code for code, _, _ in results] == [0, 0], "\n".join(errors for _, _, errors in results)
    assert f"{model}, 50 losses in float32" in results[0][1]


@pytest.mark.slow
def test_a_process_that_hangs_is_noticed_by_its_silence() -> None:
    code, errors, seconds = gone(signal.SIGSTOP, 4)
    assert code == 7 and seconds < 30
    assert errors.splitlines() == [errors.strip()]
    assert errors.startswith("neocog: process 1: no sign of life")


@pytest.mark.slow
def test_torchrun_starts_it(work: Path, tmp_path: Path) -> None:
    words = [
        "train",
        "faster-rcnn",
        "--data",
        str(work / "data"),
        "--size",
        "64",
        "--batch",
        "6",
        "--steps",
        "3",
    ]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3", "-m", "neocog"]
    done = subprocess.run(
        [sys.executable, *launch, *words, "--workers", "0", "--out", str(tmp_path / "run")],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(losses(tmp_path / "run")) == 3
    assert json.loads((tmp_path / "run" / "run.json").read_text())["machine"]["processes"] == 3
