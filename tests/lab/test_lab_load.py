"""Many clients at once: everyone gets the answer to their own picture, and too many are told to come back."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.lab.labs import served
from tests.lab.raw import Answer, connect, read, request

from neocog.data.digits import Digits
from neocog.lab.app import create_app
from neocog.lab.runs import Run, Runs
from neocog.lab.work import WAITING
from neocog.pictures.encode import png_bytes


def resident() -> int:
    """Bytes of memory that this process, which is the server too, holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def planted(count: int) -> list[np.ndarray]:
    """Pictures that no two of have the same answer: digits, each with a grey of its own in a corner."""
    data, pictures = Digits("test"), []
    for index in range(count):
        pixels = data[index % len(data)].image.copy()
        pixels[:3, :3] = 40 + 8 * (index // len(data))
        pictures.append(pixels)
    return pictures


@pytest.mark.parametrize(("clients", "count"), [(16, 300), pytest.param(64, 2000, marks=pytest.mark.slow)])
def test_nobody_gets_somebody_elses_answer(clients: int, count: int) -> None:
    """Each client sends picture after picture on one connection, among them broken ones, and others leave."""
    app = create_app()
    (run,) = app.state.runs
    pictures = planted(count)
    expected = [run.predictor.predict(pixels).to_dict() for pixels in pictures]
    assert len({json.dumps(one) for one in expected}) > 0.95 * count
    target, seen, before = f"/api/v1/predict/{run.id}", Counter[int](), resident()

    def client(lab: str, own: int) -> None:
        connection = connect(lab, 120)
        for index in range(own, count, clients):
            if index % 10 == 3:
                with connect(lab) as leaving:  # without waiting for the answer
                    leaving.sendall(request(lab, target, "POST", png_bytes(Image.fromarray(pictures[index]))))
            broken = index % 10 == 7
            data = b"\x89PNG\r\n\x1a\n" if broken else png_bytes(Image.fromarray(pictures[index]))
            answer = Answer(429, {}, b"")
            while answer.status == 429:
                connection.sendall(request(lab, target, "POST", data))
                answer = read(connection)
                seen[answer.status] += 1
                if answer.status == 429:
                    time.sleep(float(answer.headers["retry-after"]) / 10)
            assert answer.status == (422 if broken else 200), answer
            assert broken or answer.json["answer"] == expected[index]
        connection.close()

    with served(app) as lab, ThreadPoolExecutor(clients) as pool:
        for done in [pool.submit(client, lab, own) for own in range(clients)]:
            done.result()
    assert seen[200] + seen[422] == count
    assert resident() - before < 512 * 2**20


class Slow:
    """In the place of a model: it holds whoever asks until it is let go, and counts who came."""

    def __init__(self) -> None:
        self.go, self.asked = threading.Event(), 0

    def prepare(self, pixels: np.ndarray) -> Any:
        self.asked += 1
        assert self.go.wait(30)
        raise ValueError("as slow as it was told to be")


@pytest.fixture
def slow() -> tuple[Slow, Any]:
    """Such a model, and a lab with it."""
    model, runs = Slow(), Runs()
    made: Callable[[], Any] = lambda: model  # noqa: E731
    runs.add(Run("slow", "compact", "classify", ("a",), made))
    return model, create_app(runs)


def until(condition: Callable[[], bool]) -> None:
    """Wait for it, a few seconds."""
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


PICTURE = png_bytes(Image.new("RGB", (8, 8)))


def test_too_many_are_told_to_come_back_at_once_and_health_answers_meanwhile(slow: tuple[Slow, Any]) -> None:
    model, app = slow
    run = next(iter(app.state.runs))
    with served(app) as lab:
        sent = request(lab, f"/api/v1/predict/{run.id}", "POST", PICTURE)
        waiting = [connect(lab) for _ in range(1 + WAITING)]
        for one in waiting:
            one.sendall(sent)
        until(lambda: model.asked == 1 and run.worker._present == 1 + WAITING)
        began = time.monotonic()
        for _ in range(20):
            with connect(lab) as late:
                late.sendall(sent)
                answer = read(late)
            assert answer.status == 429 and answer.headers["retry-after"] == "1"
            with connect(lab) as health:
                health.sendall(request(lab, "/api/v1/health"))
                assert read(health).status == 200
        assert (time.monotonic() - began) / 40 < 0.05
        model.go.set()
        assert [read(one).status for one in waiting] == [422] * len(waiting)
        assert model.asked == len(waiting) and run.worker._present == 0
        for one in waiting:
            one.close()


def test_who_leaves_the_queue_is_not_computed(slow: tuple[Slow, Any]) -> None:
    model, app = slow
    run = next(iter(app.state.runs))
    with served(app) as lab:
        sent = request(lab, f"/api/v1/predict/{run.id}", "POST", PICTURE)
        first, leaving, last = (connect(lab) for _ in range(3))
        first.sendall(sent)
        until(lambda: model.asked == 1)
        leaving.sendall(sent)
        until(lambda: run.worker._present == 2)
        leaving.close()
        until(lambda: run.worker._present == 1)
        last.sendall(sent)
        until(lambda: run.worker._present == 2)
        model.go.set()
        assert read(first).status == read(last).status == 422
        assert model.asked == 2
        first.close()
        last.close()
