"""Data sets that would run code, grow without bound or reach outside, given to `data check`."""

from __future__ import annotations

import gzip
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from tests.hostile import Hostile, World


def check(path: Path) -> list[str]:
    return ["data", "check", str(path)]


def yaml(name: str, content: Callable[[World], str], words: str, pictures: str = "images") -> Hostile:
    """A YOLO data set with this data.yaml, and a folder of pictures."""

    def make(world: World, place: Path) -> list[str]:
        for folder in (f"{pictures}/train", "labels/train"):
            (place / "data" / folder).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(place / "data" / pictures / "train" / "a.png")
        (place / "data" / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
        (place / "data" / "data.yaml").write_text(content(world))
        return check(place / "data")

    return Hostile(f"YAML: {name}", make, 3, words)


def xml(name: str, content: str, words: str = "") -> Hostile:
    """A VOC data set whose one annotation is this."""

    def make(world: World, place: Path) -> list[str]:
        for folder in ("JPEGImages", "Annotations"):
            (place / "data" / folder).mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(place / "data" / "JPEGImages" / "a.png")
        text = content.replace("PICTURE", world.picture.as_uri())
        (place / "data" / "Annotations" / "a.xml").write_text(text)
        return check(place / "data")

    return Hostile(f"XML: {name}", make, 3, words)


def coco(name: str, content: Callable[[World], bytes], words: str) -> Hostile:
    """A COCO data set whose file of annotations is this."""

    def make(world: World, place: Path) -> list[str]:
        (place / "data" / "train").mkdir(parents=True)
        Image.new("RGB", (64, 64)).save(place / "data" / "train" / "a.png")
        (place / "data" / "train" / "_annotations.coco.json").write_bytes(content(world))
        return check(place / "data")

    return Hostile(f"COCO: {name}", make, 3, words)


def file(name: str, suffix: str, write: Callable[[World, Path], object], words: str) -> Hostile:
    """A file given as a data set."""

    def make(world: World, place: Path) -> list[str]:
        write(world, place / f"data{suffix}")
        return check(place / f"data{suffix}")

    return Hostile(f"data set: {name}", make, 3, words)


def _zip(_: World, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.txt", "x")
        archive.writestr("zeros", bytes(16 << 20))


def _tar(_: World, path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("data")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../escaped.txt"))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)
ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 9))
ARCHIVE = "an archive"

ITEMS = [
    yaml(
        "object that calls os.system",
        lambda w: f"names: !!python/object/apply:os.system ['{w.touch()}']",
        "data.yaml",
    ),
    yaml("object that calls eval", lambda _: 'names: !!python/object/apply:eval ["1"]', "data.yaml"),
    yaml("new object", lambda w: f"names: !!python/object/new:os.system ['{w.touch()}']", "data.yaml"),
    yaml("name of a function", lambda _: "names: !!python/name:os.system", "data.yaml"),
    yaml("module", lambda _: "names: !!python/module:antigravity", "data.yaml"),
    yaml("anchors that grow to 9**9 words", lambda _: BOMB + "names: *i\n", "data.yaml"),
    yaml("key given twice", lambda _: "names: [a]\nnames: [b]\n", "duplicate key"),
    yaml("nested 10,000 deep", lambda _: "names: " + "[" * 10_000, "data.yaml"),
    yaml("pictures at an address", lambda _: "names: [a]\ntrain: http://127.0.0.1/a.zip\n", "data", "else"),
    yaml("pictures outside", lambda w: f"names: [a]\ntrain: {w.canary}\n", "data", "else"),
    xml("entities that grow to 10**8", f'<!DOCTYPE a [<!ENTITY e0 "x">{ENTITIES}]><a>&e8;</a>'),
    xml("entity that reads a file", '<!DOCTYPE a [<!ENTITY e SYSTEM "PICTURE">]><a>&e;</a>'),
    xml("entity that asks a server", '<!DOCTYPE a [<!ENTITY e SYSTEM "http://127.0.0.1/">]><a>&e;</a>'),
    xml("nested 100,000 deep", "<a>" * 100_000),
    coco("nested 100,000 deep", lambda _: b'{"images": ' + b"[" * 100_000, "nested too deeply"),
    coco(
        "a key twice",
        lambda _: b'{"images": [], "images": [], "annotations": [], "categories": []}',
        "duplicate key",
    ),
    coco("a list", lambda _: b"[]", "data"),
    coco(
        "a picture outside",
        lambda w: json.dumps(
            {
                "images": [{"id": 1, "file_name": str(w.picture), "width": 64, "height": 64}],
                "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}],
                "categories": [{"id": 1, "name": "a"}],
            }
        ).encode(),
        "data",
    ),
    file("zip archive that climbs out", ".zip", _zip, ARCHIVE),
    file("tar archive with a link to /", ".tar.gz", _tar, ARCHIVE),
    file("compressed file", ".gz", lambda _, p: p.write_bytes(gzip.compress(bytes(1 << 20))), ARCHIVE),
    file("rar archive", ".rar", lambda _, p: p.write_bytes(b"Rar!\x1a\x07\x01\x00" + bytes(64)), ARCHIVE),
    file("zip archive without its suffix", "", _zip, "data"),
    file(
        "program in Python",
        ".py",
        lambda w, p: p.write_text(f"import os\nos.system({w.touch()!r})\n"),
        "data.py",
    ),
    file("pickle", ".pkl", lambda w, p: p.write_bytes(pickle.dumps(Path(w.touch()))), "data.pkl"),
]
