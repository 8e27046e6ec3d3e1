"""A lab that runs while tests ask it, and what accessibility says of a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from neocog.lab.app import create_app
from neocog.lab.serve import listening, server

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
