"""Model folders and checkpoints that are damaged, or describe what would do harm."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tests.hostile import Hostile, World, cut, entry, flip, with_header

from neocog.weights import digest, pack, save_model

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def spoiled(name: str, file: str, spoil: Callable[[Path], object], words: str) -> Hostile:
    """A model folder in which one file is spoiled, given to `predict`."""

    def make(world: World, place: Path) -> list[str]:
        spoil(world.model(place) / file)
        return world.predict(place)

    return Hostile(f"model: {name}", make, 4, words)


def described(
    name: str, words: str = "config.json: does not describe a known model", **changes: Any
) -> Hostile:
    """A model folder with right hashes whose description says something else."""
    return Hostile(f"model: {name}", lambda world, place: world.described(place, **changes), 4, words)


def option(
    name: str, change: Callable[[dict[str, Any]], object], words: str = "config.json: does not"
) -> Hostile:
    def make(world: World, place: Path) -> list[str]:
        options = json.loads(json.dumps(world.config["options"]))
        change(options)
        return world.described(place, options=options)

    return Hostile(f"model: {name}", make, 4, words)


def _document(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Change a JSON file's document."""

    def spoil(path: Path) -> None:
        document = json.loads(path.read_text())
        change(document)
        path.write_text(json.dumps(document))

    return spoil


def _text(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text.encode(errors="surrogateescape"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _foreign_weights(world: World, place: Path) -> list[str]:
    """The weights of a larger network, with right hashes."""
    save_model(place / "model", world.config, world.weights | {"a": torch.ones(3)}, "")
    return world.predict(place)


def _hashed(data: Callable[[World], bytes]) -> Callable[[World, Path], list[str]]:
    """Any bytes as weights, with the right hash."""

    def make(world: World, place: Path) -> list[str]:
        folder = world.model(place)
        (folder / WEIGHTS).write_bytes(data(world))
        _document(lambda document: document["sha256"].update({WEIGHTS: digest(data(world))}))(folder / CONFIG)
        return world.predict(place)

    return make


def checkpoint(name: str, spoil: Callable[[Path], object], words: str) -> Hostile:
    """A checkpoint that is spoiled, and resumed."""

    def make(world: World, place: Path) -> list[str]:
        spoil(world.checkpoint(place))
        return world.train(place, "--resume")

    return Hostile(f"checkpoint: {name}", make, 4, words)


def _replaced(file: str, data: bytes) -> Callable[[Path], object]:
    """A file of a checkpoint replaced, and the manifest with it."""

    def spoil(folder: Path) -> None:
        (folder / file).write_bytes(data)
        entries = {"bytes": len(data), "sha256": digest(data)}
        _document(lambda document: document["files"].update({file: entries}))(folder / "MANIFEST.json")

    return spoil


def _renamed(new: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        text = (folder / "MANIFEST.json").read_text().replace("weights.safetensors", new)
        (folder / "MANIFEST.json").write_text(text)

    return spoil


def _without(file: str) -> Callable[[Path], object]:
    return lambda folder: _document(lambda document: document["files"].pop(file))(folder / "MANIFEST.json")


ITEMS = [
    spoiled("weights with a flipped bit", WEIGHTS, flip, "its hash is not the one"),
    spoiled("weights cut", WEIGHTS, cut, "its hash is not the one"),
    spoiled("weights a pipe", WEIGHTS, _pipe, "not a regular file"),
    spoiled("weights missing", WEIGHTS, Path.unlink, "missing"),
    spoiled("description with a flipped bit", CONFIG, flip, "config.json: "),
    spoiled("description cut", CONFIG, cut, "config.json: damaged"),
    spoiled("description empty", CONFIG, _text(""), "config.json: damaged"),
    spoiled(
        "description a pickle",
        CONFIG,
        lambda path: path.write_bytes(pickle.dumps({})),
        "config.json: damaged",
    ),
    spoiled("description nested 100,000 deep", CONFIG, _text("[" * 100_000), "config.json: damaged"),
    spoiled("description that is not UTF-8", CONFIG, _text('{"format": "\udcff"}'), "config.json: damaged"),
    spoiled("description with one key twice", CONFIG, _text('{"format": 1, "format": 1}'), "twice"),
    spoiled("description with NaN", CONFIG, _text('{"format": NaN}'), "NaN"),
    spoiled("description of the future", CONFIG, _document(lambda d: d.update(format=99)), "newer version"),
    spoiled("description edited", CONFIG, _document(lambda d: d["config"].update(size=[9, 9])), "edited"),
    spoiled(
        "hash of a file elsewhere",
        CONFIG,
        _document(lambda d: d["sha256"].update({"../x": "0"})),
        "config.json: ",
    ),
    described("an unknown architecture", model="yolo-9000"),
    described("a function as architecture", model="os.system"),
    described("a list as architecture", model=["faster-rcnn"]),
    described("another architecture's backbone", backbone="vgg16"),
    described("an unknown backbone", backbone="../../compact"),
    described("pictures of 10**9 pixels a side", size=[10**9, 10**9]),
    described("pictures of negative size", size=[-64, 64]),
    described("a size that is text", size="64"),
    described("classes that are a number", classes=10**12),
    described(
        "100,000 classes", words="larger than model.safetensors", classes=[str(n) for n in range(100_000)]
    ),
    option("10**12 hidden units", lambda o: o.update(hidden=10**12)),
    option("8,192 hidden units", lambda o: o.update(hidden=8192), "larger than model.safetensors"),
    option("channels without end", lambda o: o["rpn"].update(channels=10**30)),
    option("a ratio of zero", lambda o: o["rpn"].update(ratios=[0])),
    option("an unknown map", lambda o: o.update(level="__class__")),
    option("code as an option", lambda o: o.update(hidden="__import__('os').system('true')")),
    Hostile("model: another network's weights", _foreign_weights, 4, "'a' is unknown to the model"),
    Hostile(
        "model: weights that are not finite",
        _hashed(lambda world: pack(world.weights | {"head.scores.bias": torch.tensor([torch.nan])})),
        4,
        "holds NaN",
    ),
    Hostile(
        "model: weights a pickle", _hashed(lambda _: pickle.dumps({"a": 1})), 4, "not a readable safetensors"
    ),
    Hostile(
        "model: weights that overlap",
        _hashed(lambda _: with_header({"a": entry([0, 16], [4]), "b": entry([8, 16], [2])})),
        4,
        "not a readable safetensors",
    ),
    checkpoint("weights with a flipped bit", lambda folder: flip(folder / "weights.safetensors"), "SHA-256"),
    checkpoint("weights cut", lambda folder: cut(folder / "weights.safetensors"), "damaged"),
    checkpoint("state with a flipped bit", lambda folder: flip(folder / "state.json"), "SHA-256"),
    checkpoint("manifest cut", lambda folder: cut(folder / "MANIFEST.json"), "MANIFEST.json: damaged"),
    checkpoint(
        "manifest a list", lambda folder: (folder / "MANIFEST.json").write_text("[]"), "MANIFEST.json: "
    ),
    checkpoint("manifest that names a file elsewhere", _renamed("../../../../picture.png"), "picture.png"),
    checkpoint("manifest without the state", _without("state.json"), "names no state.json"),
    checkpoint("manifest without the weights", _without("weights.safetensors"), "weights"),
    checkpoint(
        "weights a pickle", _replaced("weights.safetensors", pickle.dumps({})), "not a readable safetensors"
    ),
    checkpoint("state a pickle", _replaced("state.json", pickle.dumps({})), "not the state of a run"),
    checkpoint("state of nothing", _replaced("state.json", b'{"step": 1, "state": {}}'), "step-7"),
    checkpoint("another network's weights", lambda _: None, "'a' is unknown to the model"),
]
