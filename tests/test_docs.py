"""What the documentation promises: its snippets run, and its figures, commands and source files exist."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from neocog.cli import app
from neocog.pictures.figures import FIGURES
from neocog.run_figures import RUN_FIGURES
from neocog.zoo import MODELS

ROOT = Path(__file__).parent.parent
LADDER = sorted((ROOT / "docs" / "ladder").glob("*.md"))
PAGES = [
    *(ROOT / "docs" / f"{name}.md" for name in ("operator", "kernels-and-density", "arithmetic")),
    *(page for page in LADDER if page.stem != "index"),
]
"""Pages that promise it: their snippets need nothing that is not installed."""


def by_name(page: Path) -> str:
    return page.stem


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_snippets_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the top of a page to its end, in one namespace; a traceback has the page's line numbers."""
    inside, lines = False, []
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = line.startswith("```")
        lines.append(line if inside and not fence else "")
        inside = line == "```python" if fence else inside
    assert any(lines)
    script = tmp_path / f"{page.stem}.py"
    script.write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))


@pytest.mark.parametrize("page", LADDER, ids=by_name)
def test_what_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    shown = set(re.findall(r"\.\./figures/([\w-]+)\.(?:svg|html)", text))
    of_runs = set(re.findall(r"neocog figures ([\w-]+) --run RUN", text)) - {"NAME"}
    assert shown <= set(FIGURES)
    assert of_runs <= set(RUN_FIGURES)
    files = re.findall(r"(?:src|benchmarks)/[\w/]+\.py", text)
    assert not [file for file in files if not (ROOT / file).is_file()]


@pytest.mark.parametrize("page", LADDER, ids=by_name)
def test_commands_are_understood(page: Path) -> None:
    """Every `neocog ...`, in a block or in the text, has a verb and options that there are."""
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"(?:^|`)(neocog [^`\n]+)", page.read_text(encoding="utf-8"), re.M):
        _, verb, *words = shlex.split(line, comments=True)
        given = verbs[verb].make_context(verb, words).params
        models = {given.get("model"), *(given.get("models") or ())} - {None}
        assert models <= set(MODELS), line
