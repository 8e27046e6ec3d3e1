"""Safetensors files that lie, given to `--weights`, and manifests that lie about them."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from tests.hostile import Hostile, World, cut, entry, flip, with_header
from tests.hostile.pickles import call, state

from neocog.weights import digest, pack

REFUSED = "not a readable safetensors file"


def weights(data: Callable[[World], bytes]) -> Callable[[World, Path], list[str]]:
    def make(world: World, place: Path) -> list[str]:
        (place / "evil.safetensors").write_bytes(data(world))
        return world.train(place, "--weights", str(place / "evil.safetensors"))

    return make


def raw(name: str, data: bytes, words: str = REFUSED) -> Hostile:
    return Hostile(f"safetensors: {name}", weights(lambda _: data), 4, f"evil.safetensors: {words}")


def changed(name: str, change: Callable[[dict[str, torch.Tensor]], object], words: str) -> Hostile:
    """The weights of the right network with one change."""

    def data(world: World) -> bytes:
        tensors = {key: value.clone() for key, value in world.backbone.items()}
        change(tensors)
        return pack(tensors)

    return Hostile(f"safetensors: {name}", weights(data), 4, words)


def manifest(name: str, words: str, spoil: Callable[[Path], object]) -> Hostile:
    """Right weights beside a manifest that is spoiled afterwards."""

    def make(world: World, place: Path) -> list[str]:
        data = pack(world.backbone)
        (place / "weights.safetensors").write_bytes(data)
        files = {"weights.safetensors": {"bytes": len(data), "sha256": digest(data)}}
        (place / "MANIFEST.json").write_text(json.dumps({"format": 1, "files": files}))
        spoil(place)
        return world.train(place, "--weights", str(place / "weights.safetensors"))

    return Hostile(f"manifest: {name}", make, 4, words)


def _rewrite(place: Path, old: str, new: str) -> None:
    path = place / "MANIFEST.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def _pipe(world: World, place: Path) -> list[str]:
    os.mkfifo(place / "evil.safetensors")
    return world.train(place, "--weights", str(place / "evil.safetensors"))


def _first(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name, value in tensors.items() if value.is_floating_point() and value.ndim == 4)


def _set(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[dict[str, torch.Tensor]], None]:
    def apply(tensors: dict[str, torch.Tensor]) -> None:
        name = _first(tensors)
        tensors[name] = change(tensors[name])

    return apply


WHOLE = pack({"w": torch.arange(4.0)})

ITEMS = [
    raw("header of 8 EiB", (2**63).to_bytes(8, "little") + b"{}"),
    raw("header longer than the file", (4096).to_bytes(8, "little") + b"{}"),
    raw("negative offsets", with_header({"w": entry([-16, 0], [4])})),
    raw("overlap", with_header({"w": entry([0, 16], [4]), "v": entry([8, 16], [2])})),
    raw("hole", with_header({"w": entry([8, 16], [2])})),
    raw("bytes that no tensor claims", WHOLE + bytes(8)),
    raw("shape of more than there is", with_header({"w": entry([0, 16], [5])})),
    raw("shape that overflows", with_header({"w": entry([0, 16], [2**63, 2**63])})),
    raw("shape with a negative side", with_header({"w": entry([0, 16], [-4])})),
    raw("unknown type", with_header({"w": entry([0, 16], [32], "F4X")})),
    raw(
        "type that is a list",
        with_header(json.dumps({"w": entry([0, 16], [4])}).replace('"F32"', "[]").encode()),
    ),
    raw(
        "one name twice", with_header(b'{"w":%s,"w":%s}' % ((json.dumps(entry([0, 16], [4])).encode(),) * 2))
    ),
    raw(
        "header that is not UTF-8",
        with_header(b'{"\xff\xfe":' + json.dumps(entry([0, 16], [4])).encode() + b"}"),
    ),
    raw("header nested 100,000 deep", with_header(b"[" * 100_000)),
    raw("header that is a list", with_header([1, 2])),
    raw("offsets that are text", with_header({"w": {"dtype": "F32", "shape": [4], "data_offsets": "0"}})),
    raw("cut", WHOLE[:-3]),
    raw("empty", b""),
    raw("a pickle under its name", state(call("os.system", "true"))),
    raw("an archive under its name", b"PK\x03\x04" + bytes(99)),
    changed("weights that are not finite", _set(lambda value: value * torch.inf), "not finite"),
    changed("weights of another shape", _set(lambda value: value[:1]), "Compact has"),
    changed("weights of another type", _set(lambda value: value.long()), "torch.int64"),
    changed("one weight missing", lambda tensors: tensors.pop(_first(tensors)), "lacks"),
    changed("one weight too many", lambda tensors: tensors.update(more=torch.ones(1)), "has 'more'"),
    Hostile("safetensors: a pipe", _pipe, 4, "evil.safetensors: "),
    manifest(
        "another hash", "convert it again", lambda place: _rewrite(place, '"sha256": "', '"sha256": "0')
    ),
    manifest("another size", "convert it again", lambda place: _rewrite(place, '"bytes": ', '"bytes": 1')),
    manifest("another file", "convert it again", lambda place: _rewrite(place, '"weights.', '"../weights.')),
    manifest(
        "written by the future", "newer version", lambda place: _rewrite(place, '"format": 1', '"format": 9')
    ),
    manifest(
        "a pickle",
        "damaged",
        lambda place: (place / "MANIFEST.json").write_bytes(pickle.dumps({"format": 1})),
    ),
    manifest("cut", "damaged", lambda place: cut(place / "MANIFEST.json")),
    manifest(
        "weights with a flipped bit", "convert it again", lambda place: flip(place / "weights.safetensors")
    ),
]
