"""A lab that runs while tests ask it, and what accessibility says of a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.lab.app import create_app
from neocog.lab.runs import Run, Runs
from neocog.lab.serve import listening, server
from neocog.types import Task

if TYPE_CHECKING:
    from playwright.sync_api import Page


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The address of an application while it is served on a free port of this machine."""
    place, serving = listening("127.0.0.1", 0), server(app)
    thread = threading.Thread(target=serving.run, args=([place],), daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not serving.started and time.monotonic() < until:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        serving.should_exit = True
        thread.join(60)


@pytest.fixture(scope="session")
def lab() -> Iterator[str]:
    """The address of a lab without runs."""
    with served(create_app()) as address:
        yield address


class Visit:
    """A page of the lab in a browser; `problems` are what it said on its console and asked of others."""

    def __init__(self, page: Page, lab: str) -> None:
        self.page, self.lab = page, lab
        self.problems: list[str] = []
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.lab, "data:", "blob:")):
            self.problems.append(f"asked {request.url}")

    def open(self, place: str) -> Page:
        """Go to a place such as `plane?stride=2` and wait until it stands."""
        self.page.goto(f"{self.lab}/#/{place}")
        self.page.wait_for_selector("main h1")
        return self.page

    def violations(self) -> list[str]:
        """What axe finds wrong, light and dark."""
        from axe_playwright_python.sync_playwright import Axe

        found = []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            response = Axe().run(self.page).response
            found += [f"{scheme}: {one['id']}: {one['nodes'][0]['html']}" for one in response["violations"]]
        return found


@pytest.fixture
def visit(page: Page, lab: str) -> Iterator[Visit]:
    """Opens places of the lab; afterwards there must have been no problem."""
    one = Visit(page, lab)
    yield one
    assert one.problems == []


@dataclass(frozen=True)
class Trained:
    """Two comparisons of networks that learnt for a few steps, and a lab that was started with both."""

    detectors: Path
    segmenters: Path
    app: Any
    address: str

    def run(self, model: str) -> Run:
        """The run of a model."""
        return next(run for run in self.app.state.runs if run.model == model)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Small runs, trained on thirty generated scenes."""
    folder = tmp_path_factory.mktemp("trained")
    common = ["--size", "64", "--batch", "4", "--threads", "1", "--seeds", "1"]
    for task, models, form in (
        ("detect", ("faster-rcnn", "ssd"), "voc"),
        ("segment", ("fcn-32s", "fcn-8s"), "masks"),
    ):
        counts = (("train", 20), ("val", 5), ("test", 5))
        splits = {name: Scenes("std", name, count, task=Task(task)) for name, count in counts}
        write_dataset(splits, folder / form, form)
        data, out = str(folder / form), str(folder / task)
        words = ["compare", *models, "--task", task, "--data", data, "--out", out, "--steps", "12", *common]
        assert main(words) == 0
    app = create_app(Runs([folder / "detect", folder / "segment"]))
    with served(app) as address:
        yield Trained(folder / "detect", folder / "segment", app, address)
