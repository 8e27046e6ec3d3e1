"""Labs that run while tests ask them, with and without runs, and what a browser says of their pages."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from neocog.data.scenes import Scenes
from neocog.lab.runs import Run, Runs
from neocog.lab.serve import listening, server
from neocog.predict import Predictor, load
from neocog.types import Task
from neocog.weights import save_model
from neocog.zoo import MODELS, create

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

    def numbers(self, name: str) -> np.ndarray:
        """Those of the cells of a map that the page shows."""
        found = self.page.eval_on_selector_all(
            f"[data-cell^='{name}-']",
            "all => all.map(one => [...one.dataset.cell.split('-').slice(1), one.dataset.value].map(Number))",
        )
        rows, columns = (int(max(each)) + 1 for each in list(zip(*found, strict=True))[:2])
        return np.array([value for _, _, value in sorted(found)]).reshape(rows, columns)

    def violations(self) -> list[str]:
        """What axe finds wrong, light and dark."""
        from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

        found = []
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme)
            response = Axe().run(self.page).response
            found += [f"{scheme}: {one['id']}: {one['nodes'][0]['html']}" for one in response["violations"]]
        return found


@dataclass(frozen=True)
class Trained:
    """A lab with a comparison of one segmenter that learnt for a few steps, and runs that never learnt."""

    comparison: Path
    app: Any
    address: str

    def run(self, model: str) -> Run:
        """The run of a model."""
        runs: Runs = self.app.state.runs
        return next(run for run in runs if run.model == model)

    def predictor(self, model: str) -> Predictor:
        """Its model, loaded once more."""
        folder = self.run(model).folder
        assert folder is not None
        return load(folder, precision="f32")


def untrained(folder: Path, model: str) -> Path:
    """The run of a network with random weights, which are large enough for it to say something."""
    classes = Scenes(task=MODELS[model].task).classes
    options = MODELS[model].options("compact", 64)
    config = {
        "model": model,
        "backbone": "compact",
        "classes": classes,
        "size": (64, 64),
        "options": asdict(options),
    }
    torch.manual_seed(0)
    network = create(model, classes, "compact", options)
    with torch.no_grad():
        for parameter in network.parameters():
            if MODELS[model].task is Task.DETECT and parameter.ndim > 1 and parameter.std() < 0.02:
                parameter.normal_(std=0.1 if parameter.ndim == 2 else 0.05)  # else all scores are alike
    save_model(folder / "model", config, network.state_dict(), "")
    described = {"options": {"model": model}, "task": MODELS[model].task, "classes": classes}
    (folder / "run.json").write_text(json.dumps(described))
    return folder
