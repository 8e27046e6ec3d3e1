"""Shared fixtures. `NEOCOG_TEST_DATA` names the folder of sample data sets; without it their tests skip."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# What starts the tests may ignore signals (nohup, a shell's background), and what is ignored is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGTERM", "SIGHUP"):
    if hasattr(signal, _name):
        signal.signal(getattr(signal, _name), signal.SIG_DFL)

# Kernels compile on first use, and machines of the check are slow: a deadline would only measure that.
settings.register_profile("neocog", deadline=None, derandomize=True)
settings.load_profile("neocog")


@pytest.fixture(scope="session")
def sample_data() -> Callable[[str], Path]:
    """A function from a data set's name to its folder."""

    def find(name: str) -> Path:
        root = os.environ.get("NEOCOG_TEST_DATA", "")
        path = Path(root) / name
        if not root or not path.is_dir():
            pytest.skip(f"sample data set '{name}' is not here (set NEOCOG_TEST_DATA)")
        return path

    return find


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, headless, one for all tests of a file: these must not run an event loop."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    quiet = (
        "--no-sandbox",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    )
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=list(quiet))
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page, which remembers nothing of others."""
    opened = browser.new_page()
    yield opened
    opened.close()
