"""The rules of the house: import direction, length, what may be called, and what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src" / "neocog"
FILES = sorted(SOURCE.rglob("*.py"))

LAYERS = [
    {"errors", "version"},
    {"types", "files", "nested", "precision", "convert_child", "optimizers", "shards"},
    {"weights", "convert", "cards"},
    {"ops"},
    {"data", "transforms", "metrics", "proposals", "backbones"},
    {"parts"},
    {"models"},
    {"defaults"},
    {"zoo", "testing"},
    {
        *("pictures", "explain", "checkpoint", "distributed", "predict", "predictions", "propose"),
        *("fold", "fast", "packed", "recorded", "published", "run_data", "stream"),
    },
    {"judging"},
    {"evaluate", "records"},
    {"showing", "bf16_check"},
    {"reports", "compare_report"},
    {"train", "plan", "course", "run", "run_folder"},
    {"compare", "trials"},
    {"run_figures"},
    {"export", "hub"},
    {"cli", "lab"},
]
"""Imports go only towards the top of this list; what shares a line does not import each other, except for:"""

WITHIN_A_LAYER = {
    ("data", "transforms"),
    ("convert", "weights"),
    ("fast", "fold"),
    ("fast", "packed"),
    ("fast", "recorded"),
    ("recorded", "packed"),
    ("predict", "fast"),
    ("cards", "weights"),
    ("predict", "fold"),
    ("predict", "published"),
    ("predict", "predictions"),
    ("stream", "predict"),
    ("stream", "predictions"),
    ("predictions", "pictures"),
    ("shards", "files"),
    ("evaluate", "records"),
    ("explain", "pictures"),
    ("plan", "train"),
    ("run", "plan"),
    ("run", "course"),
    ("course", "plan"),
    ("course", "train"),
    ("run", "run_folder"),
    ("run", "train"),
    ("run_folder", "plan"),
    ("run_folder", "train"),
    ("compare", "trials"),
    ("cli", "lab"),
}

_FORBIDDEN_MODULES = (
    "torchvision cv2 pickle cloudpickle dill joblib marshal shelve dbm jsonpickle code runpy imp pip "
    "ctypes cffi requests httpx aiohttp urllib3 ssl ftplib smtplib telnetlib xmlrpc pty"
)
FORBIDDEN_MODULES = set(_FORBIDDEN_MODULES.split())
"""What loads objects, runs text as code, installs, or talks to a network."""

_FORBIDDEN_CALLS = (
    "eval exec compile __import__ os.system os.popen os.startfile tempfile.mktemp subprocess.getoutput "
    "subprocess.getstatusoutput yaml.unsafe_load yaml.unsafe_load_all yaml.full_load yaml.full_load_all "
    "torch.jit.load torch.hub.load torch.package.PackageImporter torch.utils.cpp_extension.load "
    "pandas.read_pickle builtins.eval builtins.exec builtins.compile builtins.__import__ importlib.reload"
)
FORBIDDEN_CALLS = set(_FORBIDDEN_CALLS.split())
FORBIDDEN_BEGINNINGS = ("os.exec", "os.spawn", "os.posix_spawn", "ctypes.", "torch.ops.load_library")
SAFE_LOADERS = {"yaml.SafeLoader", "yaml.CSafeLoader"}
SAFE_FILTERS = {"'data'", "tarfile.data_filter"}

ONLY_IN = {
    "torch.load": {"convert_child.py"},  # the process without rights
    "subprocess": {"convert.py"},  # which starts it
    "urllib.request": {"backbones/weights.py"},  # the one downloader
    "urllib.error": {"backbones/weights.py"},
    "http": {"backbones/weights.py", "lab/guard.py"},  # the guard reads cookies
    "socket": {"lab/serve.py"},  # the local page is served, and nothing else listens
    "asyncio": {"lab/guard.py", "lab/health.py", "lab/serve.py", "lab/work.py"},
    "webbrowser": {"cli/lab.py"},
    "importlib.import_module": {"__init__.py", "cli/given.py"},  # the public names; the user's own network
    "importlib.util.spec_from_file_location": {"cli/given.py"},
}
"""What only these files may import or call."""


def name_of(file: Path) -> str:
    return file.relative_to(SOURCE).as_posix()


def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), filename=name_of(file))


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import, also inside functions; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def called(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the full dotted name of what is called, whatever it was imported as."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, dot, rest = ast.unparse(node.func).partition(".")
            yield node, known.get(head, head) + dot + rest


def direction_faults(unit: str, tree: ast.AST) -> list[str]:
    """Imports in a file of `unit` (the first part of its path) that go the wrong way."""
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    faults = []
    for line, module in imported(tree):
        if module.startswith("."):
            faults.append(f"{line}: write the import of {module} in full")
        head, _, rest = module.partition(".")
        target = rest.split(".")[0]
        if head != "neocog" or target == unit:
            continue
        if target not in layer:
            faults.append(f"{line}: '{target}' has no place in the layers")
        elif layer[target] > layer[unit]:
            faults.append(f"{line}: {unit} must not import {target}, which stands to its right")
        elif layer[target] == layer[unit] and (unit, target) not in WITHIN_A_LAYER:
            faults.append(f"{line}: {unit} and {target} share a layer")
    return faults


def call_faults(tree: ast.AST) -> list[str]:
    """Calls that run text as code or through a shell, load objects, or write where an archive says."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    safe = {one.name for one in classes if any(ast.unparse(base) in SAFE_LOADERS for base in one.bases)}
    faults = []
    for node, name in called(tree):
        given = {word.arg: ast.unparse(word.value) for word in node.keywords}
        words = {*map(ast.unparse, node.args), *given.values()}
        last = name.rpartition(".")[2]
        if name in FORBIDDEN_CALLS or name.startswith(FORBIDDEN_BEGINNINGS):
            faults.append(f"{node.lineno}: {name}")
        if name in ("yaml.load", "yaml.load_all") and not words & (safe | SAFE_LOADERS):
            faults.append(f"{node.lineno}: {name} without a safe loader")
        if name == "torch.load" and given.get("weights_only") != "True":
            faults.append(f"{node.lineno}: torch.load without weights_only=True")
        if last == "load" and given.get("allow_pickle", "False") != "False":
            faults.append(f"{node.lineno}: {name} with allow_pickle")
        if given.get("shell", "False") != "False" or last == "create_subprocess_shell":
            faults.append(f"{node.lineno}: {name} through a shell")
        if last in ("extract", "extractall", "unpack_archive") and given.get("filter") not in SAFE_FILTERS:
            faults.append(f"{node.lineno}: {name} without filter='data'")
    return faults


def place_faults(file: str, tree: ast.AST) -> list[str]:
    """Imports that no file may have, and those and calls that only another file may have."""
    names = [*imported(tree), *((node.lineno, name) for node, name in called(tree))]
    faults = [f"{line}: {name}" for line, name in imported(tree) if name.split(".")[0] in FORBIDDEN_MODULES]
    for line, name in names:
        for limited, files in ONLY_IN.items():
            if f"{name}.".startswith(f"{limited}.") and file not in files:
                faults.append(f"{line}: {name}")
    return faults


LAYERED = [file for file in FILES if name_of(file) not in ("__init__.py", "__main__.py")]


@pytest.mark.parametrize("file", LAYERED, ids=name_of)
def test_imports_go_only_leftwards(file: Path) -> None:
    unit = name_of(file).split("/")[0].removesuffix(".py")
    assert any(unit in names for names in LAYERS), f"give '{unit}' a place in LAYERS"
    assert direction_faults(unit, tree_of(file)) == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_nothing_unpickles_evaluates_or_needs_what_we_do_not_use(file: Path) -> None:
    tree = tree_of(file)
    assert place_faults(name_of(file), tree) == []
    assert call_faults(tree) == []


def test_the_rules_see_what_they_forbid() -> None:
    wrong = ast.parse(
        "def late():\n    from neocog.models.ssd import SSD\n"
        "from neocog.metrics import voc\nfrom . import x\nimport neocog.nowhere\n"
    )
    assert [fault.split(":")[0] for fault in direction_faults("data", wrong)] == ["3", "4", "5", "2"]
    loads = ast.parse(
        "torch.load(f)\ntorch.load(f, weights_only=False)\ntorch.load(f, weights_only=True)\n"
        "yaml.load(f)\nyaml.safe_load(f)\neval('1')\nmodel.eval()\n"
        "np.load(f, allow_pickle=True)\nnp.load(f)\n"
        "class Own(yaml.SafeLoader): ...\nyaml.load(f, Own)\nyaml.load(f, Loader=Other)\n"
    )
    assert [int(fault.split(":")[0]) for fault in call_faults(loads)] == [1, 2, 4, 6, 8, 12]


WRONG = r"""
import pickle | from marshal import loads | import shelve as s | import dill | from joblib import load
import pip | import requests | import socket | from urllib import request | import urllib.request as u
import ctypes | from http.client import HTTPConnection | def f(): import subprocess
from subprocess import run | from importlib import import_module
import torch; torch.load(f, weights_only=True) | import torch as t; t.load(f)
import torch; torch.jit.load(f)
exec('1') | compile('1', 'f', 'exec') | __import__('os') | import builtins as b; b.eval('1')
import os; os.system('x') | import os as o; o.system('x') | from os import system as s; s('x')
import os; os.execv('x', []) | import os; os.popen('x') | run('x', shell=True) | run('x', shell=yes)
import tempfile; tempfile.mktemp() | from tempfile import mktemp; mktemp() | tar.extractall(p)
tar.extract(m, p, filter='tar') | import shutil; shutil.unpack_archive(f, p)
import yaml; yaml.unsafe_load(f) | from yaml import load; load(f) | import yaml; yaml.load_all(f)
import yaml as y; y.load(f, y.FullLoader)
"""
RIGHT = r"""
import re; re.compile('x') | model.eval() | import yaml; yaml.safe_load(f) | net.compile()
tar.extractall(p, filter='data') | run(['x'], shell=False) | import numpy as np; np.load(f)
from urllib.parse import urlsplit | import tempfile; tempfile.mkstemp() | from importlib import metadata
import json; json.load(f)
"""


def snippets(text: str) -> list[str]:
    return [one.strip() for line in text.strip().splitlines() for one in line.split(" | ")]


@pytest.mark.parametrize("text", snippets(WRONG))
def test_the_gate_sees_every_forbidden_way(text: str) -> None:
    tree = ast.parse(text)
    assert place_faults("data/voc.py", tree) + call_faults(tree) != []


@pytest.mark.parametrize("text", snippets(RIGHT))
def test_the_gate_lets_pass_what_is_safe(text: str) -> None:
    tree = ast.parse(text)
    assert place_faults("data/voc.py", tree) + call_faults(tree) == []


def test_no_file_is_longer_than_400_lines() -> None:
    files = [*FILES, *TESTS.rglob("*.py")]
    lengths = {str(file): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert {name: length for name, length in lengths.items() if length > 400} == {}


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_public_names_are_those_written_down() -> None:
    """Adding or removing a public name is a deliberate act: change public_names.txt with it."""
    written = (TESTS / "public_names.txt").read_text(encoding="utf-8").split()
    code = "import neocog; print(*sorted(dir(neocog))); [getattr(neocog, name) for name in dir(neocog)]"
    assert run_python(code).split() == sorted(written)


def test_a_function_is_not_hidden_by_the_module_of_its_name() -> None:
    code = "import neocog.evaluate, neocog; print(callable(neocog.evaluate), neocog.evaluate.__module__)"
    assert run_python(code).split() == ["True", "neocog.evaluate"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    import neocog

    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = neocog.trian  # type: ignore[attr-defined]


def test_import_costs_little_beyond_torch() -> None:
    code = (
        "import time, torch; began = time.perf_counter(); import neocog, neocog.types;"
        "print(time.perf_counter() - began)"
    )
    assert any(float(run_python(code)) < 0.25 for _ in range(3))  # a busy machine may need a second try


def test_import_touches_neither_network_nor_processes_nor_threads() -> None:
    """Loading every public name, too, opens no connection, starts no process and leaves torch's threads."""
    code = """
import sys, torch
before = torch.get_num_threads()
seen = []
watched = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "urllib.")
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(watched) else None)
import neocog
for name in dir(neocog):
    getattr(neocog, name)
quiet = list(seen)
import socket
socket.socket().close()
print(quiet, torch.get_num_threads() == before, seen[-1].startswith("socket."))
"""
    assert run_python(code).strip() == "[] True True"
