"""Draws the figures of the pages while the site is built: none is stored."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from neocog.pictures.figures import FIGURES


@cache  # `mkdocs serve` builds again and again
def drawn() -> dict[str, bytes]:
    """The figures that need no trained model, as files by name."""
    with TemporaryDirectory() as folder:
        for entry in FIGURES.values():
            entry.draw().save(Path(folder), ("svg", "html"))
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add them to the site, under `figures/`."""
    for name, content in drawn().items():
        files.append(File.generated(config, f"figures/{name}", content=content))
    return files
