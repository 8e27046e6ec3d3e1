"""A lab without runs, a lab with runs, and visits of their pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.lab.labs import Trained, Visit, served, untrained

from neocog.cli import main
from neocog.data.scenes import Scenes
from neocog.data.write import write_dataset
from neocog.lab.app import create_app
from neocog.lab.runs import Runs
from neocog.types import Task

if TYPE_CHECKING:
    from playwright.sync_api import Page


@pytest.fixture(scope="session")
def lab() -> Iterator[str]:
    """The address of a lab without runs."""
    with served(create_app()) as address:
        yield address


@pytest.fixture
def visit(page: Page, lab: str) -> Iterator[Visit]:
    """Opens places of the lab; afterwards there must have been no problem."""
    one = Visit(page, lab)
    yield one
    assert one.problems == []


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """Small networks on generated scenes."""
    folder = tmp_path_factory.mktemp("trained")
    counts = (("train", 20), ("val", 5), ("test", 5))
    splits = {name: Scenes("std", name, count, task=Task.SEGMENT) for name, count in counts}
    write_dataset(splits, folder / "masks", "masks")
    words = [
        "--data",
        str(folder / "masks"),
        "--size",
        "64",
        "--steps",
        "4",
        "--threads",
        "1",
        "--workers",
        "0",
    ]
    assert main(["compare", "fcn-8s", "--out", str(folder / "few"), *words]) == 0
    others = [untrained(folder / name, name) for name in ("faster-rcnn", "ssd", "fcn-32s")]
    app = create_app(Runs([folder / "few", *others]))
    with served(app) as address:
        yield Trained(folder / "few", app, address)
