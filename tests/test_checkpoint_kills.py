"""A kill at any moment of a save leaves a whole checkpoint, and nothing else after a sweep."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tests.references.saver import SAVE_POINTS, save
from tests.references.saver import whole as check_whole

from neocog import checkpoint as checkpoint_module
from neocog import files, weights
from neocog.checkpoint import load_checkpoint, sweep
from neocog.weights import load_model, save_model

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs fork and SIGKILL")

MODEL_POINTS = [
    "before-open",
    "half-written",
    "before-fsync",
    "after-fsync",
    "before-rename",
    "after-rename",
    "before-config",
    "before-weights",
]


@pytest.fixture(scope="module")
def saver() -> Iterator[Callable[..., int]]:
    """A function that sends one command to the saving process and returns its answer."""
    script = Path(__file__).parent / "references" / "saver.py"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdin and process.stdout
        source, sink = process.stdout, process.stdin

        def ask(*words: object) -> int:
            sink.write("\t".join(map(str, words)) + "\n")
            sink.flush()
            return int(source.readline())

        yield ask


def check_swept(run: Path) -> None:
    """Nothing but what the two links need is left."""
    needed = {(run / which).resolve().name for which in ("last", "best") if (run / which).is_symlink()}
    assert {path.name for path in (run / "checkpoints").iterdir()} == needed
    assert not [path for path in run.rglob("*") if path.name.endswith((".tmp", ".next"))]


def test_every_fail_point_of_the_source_is_tried() -> None:
    """A point added to the source must be added here; the two computed names are listed by file above."""
    texts = [Path(str(module.__file__)).read_text() for module in (files, weights, checkpoint_module)]
    named = {point for text in texts for point in re.findall(r'reached\("([^"]+)"\)', text)}
    assert named == {p for p in SAVE_POINTS + MODEL_POINTS if not p.endswith((".safetensors", ".json"))}


@pytest.mark.parametrize("point", SAVE_POINTS)
def test_kill_while_saving_the_first(point: str, saver: Callable[..., int], tmp_path: Path) -> None:
    expected = 0 if point == "half-removed" else -signal.SIGKILL  # the first save has nothing to remove
    assert saver("once", point, tmp_path) == expected
    found = load_checkpoint(tmp_path)
    if found is not None:
        assert check_whole(found) == 2
    sweep(tmp_path)
    if found is not None:
        assert check_whole(load_checkpoint(tmp_path)) == 2
    save(tmp_path, 3, best=True)
    assert check_whole(load_checkpoint(tmp_path, "best")) == 3
    check_swept(tmp_path)


@pytest.mark.parametrize("point", SAVE_POINTS)
def test_kill_while_replacing_last_and_best(point: str, saver: Callable[..., int], tmp_path: Path) -> None:
    save(tmp_path, 1, best=True)
    assert saver("once", point, tmp_path) == -signal.SIGKILL
    last, best = check_whole(load_checkpoint(tmp_path)), check_whole(load_checkpoint(tmp_path, "best"))
    assert (last, best) in {(1, 1), (1, 2), (2, 2)}
    sweep(tmp_path)
    assert check_whole(load_checkpoint(tmp_path)) == last
    assert check_whole(load_checkpoint(tmp_path, "best")) == best
    check_swept(tmp_path)


def test_kills_at_random_moments(saver: Callable[..., int], tmp_path: Path) -> None:
    """Thirty kills of a child that saves for ever, each time going on from what the last one left."""
    began = time.perf_counter()
    save(tmp_path, 1, best=False)
    length = min(time.perf_counter() - began, 0.1)
    chance, reached = random.Random(0), 1
    for _ in range(30):
        child = saver("loop", tmp_path)
        time.sleep(chance.uniform(0, 5 * length))
        os.kill(child, signal.SIGKILL)
        assert saver("wait") == -signal.SIGKILL
        found = load_checkpoint(tmp_path)
        assert check_whole(found) >= reached
        reached = check_whole(found)
        best = load_checkpoint(tmp_path, "best")
        assert best is None or check_whole(best) % 3 == 0
        sweep(tmp_path)
    assert reached >= 6  # so that most kills fell into a save
    check_swept(tmp_path)


@pytest.mark.parametrize("point", MODEL_POINTS)
def test_kill_while_replacing_a_model(point: str, saver: Callable[..., int], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save_model(folder, {"value": 1}, {"w": torch.full((8,), 1.0)}, "one")
    assert saver("model", point, folder) == -signal.SIGKILL
    config, tensors = load_model(tmp_path)
    assert torch.equal(tensors["w"], torch.full((8,), float(config["value"])))
    sweep(tmp_path)
    assert load_model(tmp_path)[0] == config
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    save_model(folder, {"value": 3}, {"w": torch.full((8,), 3.0)}, "three")
    assert load_model(tmp_path)[0] == {"value": 3}


def test_many_kills_in_a_row_never_lose_the_model(saver: Callable[..., int], tmp_path: Path) -> None:
    """Each writer starts from what the last one left, such as new weights that still wait."""
    value = 1
    save_model(tmp_path, {"value": value}, {"w": torch.full((8,), 1.0)}, "one")
    for point in [*MODEL_POINTS, *reversed(MODEL_POINTS)]:
        assert saver("model", point, tmp_path) == -signal.SIGKILL
        config, tensors = load_model(tmp_path)
        assert config["value"] in (value, value + 1)
        value = config["value"]
        assert torch.equal(tensors["w"], torch.full((8,), float(value)))
    assert value > 1
