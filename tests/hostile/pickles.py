"""Foreign files of weights: what a pickle can be made to call, and archives that are not what they say."""

from __future__ import annotations

import io
import pickle
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tests.hostile import Hostile, World, flip

Maker = Callable[[World, Path], list[str]]

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
VERSION = pickle.dumps(1001, 2)


def text(word: str) -> bytes:
    return b"X" + len(word.encode()).to_bytes(4, "little") + word.encode()


def call(name: str, *words: str) -> bytes:
    """Opcodes that call a function by its dotted name."""
    module, _, last = name.rpartition(".")
    return f"c{module}\n{last}\n".encode() + b"(" + b"".join(map(text, words)) + b"tR"


def state(value: bytes) -> bytes:
    """A pickled dictionary with one entry."""
    return b"\x80\x02}" + text("a") + value + b"s."


def archive(path: Path, content: bytes, kind: int = zipfile.ZIP_STORED, **more: bytes) -> list[str]:
    """A zip archive as torch.save makes it, with this as its pickle."""
    with zipfile.ZipFile(path, "w", kind) as file:
        for name, data in {"data.pkl": content, "version": b"3\n", "byteorder": b"little", **more}.items():
            file.writestr(f"archive/{name}", data)
    return convert(path)


def legacy(path: Path, content: bytes, machine: bytes = pickle.dumps({}, 2)) -> list[str]:
    path.write_bytes(MAGIC + VERSION + machine + content + pickle.dumps([], 2))
    return convert(path)


def convert(path: Path, *words: str) -> list[str]:
    return ["convert-weights", str(path), str(path.parent / "converted"), *words]


def gadget(name: str, *words: str) -> Hostile:
    """A call of `name` as an entry of the state dict; the word TOUCH is replaced by a command."""

    def make(world: World, place: Path) -> list[str]:
        filled = [word.replace("TOUCH", world.touch()) for word in words]
        return archive(place / "evil.pth", state(call(name, *filled)))

    return Hostile(f"pickle that calls {name}", make, 4, f"evil.pth: names '{name}'")


def written(data: Callable[[World], bytes], name: str = "evil.pth") -> Maker:
    """A file of these bytes, to be converted."""

    def make(world: World, place: Path) -> list[str]:
        (place / name).write_bytes(data(world))
        return convert(place / name)

    return make


def saved(content: Callable[[], object]) -> Maker:
    """What torch.save makes of something, to be converted."""

    def make(_: World, place: Path) -> list[str]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.save(content(), place / "evil.pth")
        return convert(place / "evil.pth")

    return make


class Rebuilt:
    """Pickled, it says how a tensor is to be rebuilt from a storage of 4 numbers."""

    def __init__(self, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
        storage = torch.arange(4.0)._typed_storage()
        self.arguments: tuple[Any, ...] = (storage, offset, shape, strides, False, {})

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return torch._utils._rebuild_tensor_v2, self.arguments


def _torchscript(_: World, place: Path) -> list[str]:
    return archive(place / "evil.pt", b"\x80\x02}.", **{"constants.pkl": b"\x80\x02).", "code/a.py": b"x"})


def _tar(_: World, place: Path) -> list[str]:
    """The format of torch before 0.1.10: a tar archive of pickles."""
    with tarfile.open(place / "evil.pth", "w") as file:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            info = tarfile.TarInfo(name)
            info.size = len(data := pickle.dumps(0, 2) + call("os.system", "x") + b".")
            file.addfile(info, io.BytesIO(data))
    return convert(place / "evil.pth")


def _twice(world: World, place: Path) -> list[str]:
    """Two parsers of zip archives may each read another one of them."""
    with zipfile.ZipFile(place / "evil.pth", "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for content in (b"\x80\x02}.", state(call("os.system", world.touch()))):
            file.writestr("archive/data.pkl", content)
    return convert(place / "evil.pth")


def _encrypted(_: World, place: Path) -> list[str]:
    words = archive(place / "evil.pth", b"\x80\x02}.")
    data = bytearray((place / "evil.pth").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (place / "evil.pth").write_bytes(data)
    return words


def _nested(world: World, place: Path) -> list[str]:
    """An archive whose pickle is an archive whose pickle calls."""
    archive(place / "inner.pth", state(call("os.system", world.touch())))
    return archive(place / "evil.pth", (place / "inner.pth").read_bytes())


def _damaged(_: World, place: Path) -> list[str]:
    words = archive(place / "evil.pth", state(text("a" * 100)))
    flip(place / "evil.pth", 90)
    return words


def _opcodes(what: Callable[[World], bytes]) -> Maker:
    return lambda world, place: archive(place / "evil.pth", what(world))


def _stack_global(world: World) -> bytes:
    return b"\x80\x04" + text("posix") + text("system") + b"\x93(" + text(world.touch()) + b"tR."


def _instance(world: World) -> bytes:
    return b"(" + text(world.touch()) + b"ios\nsystem\n."


NAMES = [
    ("os.system", "TOUCH"), ("posix.system", "TOUCH"), ("nt.system", "TOUCH"), ("os.popen", "TOUCH"),
    ("os.execl", "/bin/sh", "sh", "-c", "TOUCH"), ("__builtin__.eval", "__import__('os').system('TOUCH')"),
    ("builtins.eval", "__import__('os').system('TOUCH')"), ("builtins.exec", "import os; os.system('TOUCH')"),
    ("builtins.compile", "1", "f", "exec"), ("builtins.__import__", "antigravity"),
    ("builtins.getattr", "a", "b"),
    ("builtins.open", "TOUCH", "w"), ("subprocess.Popen", "TOUCH"), ("subprocess.check_output", "TOUCH"),
    ("functools.partial", "a"), ("operator.attrgetter", "system"), ("importlib.import_module", "antigravity"),
    ("runpy.run_path", "TOUCH"), ("pty.spawn", "TOUCH"), ("socket.create_connection", "localhost"),
    ("shutil.rmtree", "TOUCH"), ("types.FunctionType", "a"), ("marshal.loads", "a"), ("pickle.loads", "a"),
    ("_pickle.loads", "a"), ("webbrowser.open", "http://localhost"), ("numpy.load", "TOUCH"),
    ("torch.load", "TOUCH"), ("torch.hub.load", "a", "b"), ("torch.serialization.load", "TOUCH"),
    ("torch._utils._rebuild_sparse_tensor", "a"), ("ctypes.CDLL", "TOUCH"), ("timeit.timeit", "TOUCH"),
]  # fmt: skip

ITEMS = [
    *(gadget(*words) for words in NAMES),
    Hostile(
        "old format that calls os.system",
        lambda world, place: legacy(place / "evil.pth", state(call("os.system", world.touch()))),
        4,
        "names 'os.system'",
    ),
    Hostile(
        "old format that calls where the machine is told",
        lambda world, place: legacy(
            place / "evil.pth", b"\x80\x02}.", b"\x80\x02" + call("posix.system", world.touch()) + b"."
        ),
        4,
        "names 'posix.system'",
    ),
    *(
        Hostile(
            f"bare pickle of protocol {protocol}",
            written(lambda world, protocol=protocol: pickle.dumps(Path(world.touch()), protocol)),
            4,
            "not a file that torch.save wrote",
        )
        for protocol in (0, 2, 4)
    ),
    Hostile("name taken from the stack", _opcodes(_stack_global), 4, "opcode STACK_GLOBAL"),
    Hostile("instance of a function", _opcodes(_instance), 4, "opcode INST"),
    Hostile("extension code", _opcodes(lambda _: b"\x80\x02\x82\x01."), 4, "opcode EXT1"),
    Hostile(
        "string without an end", _opcodes(lambda _: b"\x80\x02X\xff\xff\xff\x7fa"), 4, "not a whole pickle"
    ),
    Hostile(
        "memo that was never filled", _opcodes(lambda _: b"\x80\x02h\x07."), 4, "cannot be read as weights"
    ),
    Hostile("pickle without an end", _opcodes(lambda _: b"\x80\x02}"), 4, "not a whole pickle"),
    Hostile("pickle in an archive in an archive", _nested, 4, "evil.pth: "),
    Hostile("TorchScript archive", _torchscript, 4, "TorchScript"),
    Hostile("tar archive of pickles", _tar, 4, "not a file that torch.save wrote"),
    Hostile("archive with two pickles of one name", _twice, 4, "one name twice"),
    Hostile("encrypted archive", _encrypted, 4, "encrypted"),
    Hostile("archive with a flipped bit", _damaged, 4, "damaged"),
    Hostile(
        "archive that unpacks to 64 MiB",
        lambda _, place: archive(place / "evil.pth", bytes(64 << 20), zipfile.ZIP_DEFLATED),
        4,
        "compressed",
    ),
    Hostile(
        "archive with a second pickle",
        lambda _, place: archive(place / "evil.pth", b"\x80\x02}.", **{"other.pkl": b"\x80\x02}."}),
        4,
        "not as torch.save makes it",
    ),
    Hostile("empty file", written(lambda _: b""), 4, "not a file that torch.save wrote"),
    Hostile("magic number of the old format alone", written(lambda _: MAGIC), 4, "not a whole pickle"),
    Hostile("head of an archive alone", written(lambda _: b"PK\x03\x04" + bytes(99)), 4, "not a whole zip"),
    Hostile("shell script", written(lambda w: f"#!/bin/sh\n{w.touch()}\n".encode()), 4, "not a file that"),
    Hostile(
        "storage shorter than its tensor",
        saved(lambda: {"a": Rebuilt(0, (1 << 40,), (1,))}),
        4,
        "cannot be read",
    ),
    Hostile("tensor before its storage", saved(lambda: {"a": Rebuilt(-9, (4,), (1,))}), 4, "cannot be read"),
    Hostile(
        "one number stretched to 4 TB", saved(lambda: {"a": torch.zeros(1).expand(1 << 40)}), 4, "overlap"
    ),
    Hostile("tensor without memory", saved(lambda: {"a": torch.zeros(3, device="meta")}), 4, "evil.pth: "),
    Hostile(
        "weights that are not finite",
        saved(lambda: {"a": torch.tensor([0.0, torch.nan])}),
        4,
        "'a' holds NaN",
    ),
    Hostile(
        "name that the format keeps", saved(lambda: {"__metadata__": torch.zeros(1)}), 4, "not a plain tensor"
    ),
]
