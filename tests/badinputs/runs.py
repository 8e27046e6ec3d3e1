"""Bad folders, configuration, models, checkpoints and archives: part E of the catalogue."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from tests.badinputs import BadInput, Expected, Ground

# Folders (61), and the policy: how much may be lost


def clutter(spot: Ground) -> str:
    """What desktops and archivers leave behind."""
    for folder in (spot.root, spot.root / "JPEGImages", spot.root / "Annotations"):
        (folder / "__MACOSX").mkdir()
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._a.png", "._a.xml", "__MACOSX/._b.png"):
            (folder / name).write_bytes(b"\0\5\x16\7")
    return ""


def stray(spot: Ground) -> str:
    path = spot.root / "JPEGImages" / "unlisted.png"
    shutil.copy(spot.pictures[0], path)
    return spot.place(path)


def more_classes(spot: Ground) -> str:
    path = spot.root / "classes.txt"
    path.write_text(path.read_text() + "unicorn\n")
    return ""


def one_class(spot: Ground) -> str:
    names = (spot.root / "classes.txt").read_text().split()
    (spot.root / "classes.txt").write_text("thing\n")
    for path in (spot.root / "Annotations").iterdir():
        text = path.read_text()
        for name in names:
            text = text.replace(f"<name>{name}<", "<name>thing<")
        path.write_text(text)
    return ""


def other_class_in_val(spot: Ground) -> str:
    path = spot.root / "annotations/instances_val.json"
    document = json.loads(path.read_text())
    document["categories"][0]["name"] = "gadget"
    path.write_text(json.dumps(document))
    return ""


def no_train(spot: Ground) -> str:
    (spot.root / "ImageSets/Main/train.txt").unlink()
    return ""


def empty_list(spot: Ground) -> str:
    (spot.root / "ImageSets/Main/train.txt").write_text("\n")
    return ""


def no_pictures(spot: Ground) -> str:
    shutil.rmtree(spot.root / "JPEGImages")
    return ""


def empty_pictures(spot: Ground, count: int) -> str:
    """Some pictures of no bytes; returns the first."""
    paths = [spot.picture() for _ in range(count)]
    for path in paths:
        path.write_bytes(b"")
    return spot.place(paths[0])


def damaged_val(spot: Ground) -> str:
    for stem in (spot.root / "ImageSets/Main/val.txt").read_text().split():
        (spot.root / "JPEGImages" / f"{stem}.png").write_bytes(b"")
    return ""


def invert_boxes(spot: Ground) -> str:
    """Every other picture with its boxes inverted: files are fine, annotations are not."""
    for picture in spot.pictures[::2]:
        path = spot.annotation(picture)
        text = path.read_text().replace("xmin", "xm").replace("xmax", "xmin").replace("xm>", "xmax>")
        path.write_text(text)
    return ""


def lost_class(spot: Ground) -> str:
    """A class whose two objects have no area: one annotation in fifty, but all of that class."""
    more_classes(spot)
    for _ in range(2):
        path = spot.annotation(spot.picture())
        thing = "<object><name>unicorn</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>8</xmax><ymax>8</ymax>"
        path.write_text(path.read_text().replace("</annotation>", f"{thing}</bndbox></object></annotation>"))
    return ""


FOLDERS = [
    BadInput("61-clutter", "files of desktops and archivers", clutter, Expected.OK),
    BadInput("61-stray", "a picture of no split", stray, Expected.OK, "image in no split"),
    BadInput(
        "61-empty-class",
        "a class without objects",
        more_classes,
        Expected.OK,
        commands=("load", "check", "train"),
    ),
    BadInput("61-one-class", "one class only", one_class, Expected.OK, commands=("load", "check", "train")),
    BadInput(
        "61-class-sets",
        "classes of train and val differ",
        other_class_in_val,
        Expected.STOP,
        "gadget",
        "coco",
        commands=("check", "train"),
    ),
    BadInput(
        "61-no-train",
        "no training split",
        no_train,
        Expected.STOP,
        r"no split 'train' \(there are: val, test\)",
        commands=("load", "train", "evaluate"),
    ),
    BadInput("61-empty-split", "a list without entries", empty_list, Expected.STOP, "the split is empty"),
    BadInput("61-no-pictures", "no folder of pictures", no_pictures, Expected.STOP, "no known layout found"),
    BadInput(
        "policy-below",
        "a twelfth of the files lost",
        partial(empty_pictures, count=4),
        Expected.SKIP_FILE,
        "empty file",
        count=4,
        commands=("load", "check", "train", "evaluate", "predict"),
    ),
    BadInput(
        "policy-files",
        "more than a tenth of the files lost",
        partial(empty_pictures, count=5),
        Expected.STOP,
        r"5 of 48 files and \d+ of \d+ annotations are lost, more than 10%; first: .*empty file",
    ),
    BadInput(
        "policy-annotations",
        "more than a tenth of the annotations lost",
        invert_boxes,
        Expected.STOP,
        r"0 of 48 files and \d+ of \d+ annotations are lost, more than 10%; first: .*box is inverted",
    ),
    BadInput(
        "policy-class",
        "a class loses all",
        lost_class,
        Expected.STOP,
        "every annotation of class 'unicorn' is lost",
    ),
    BadInput(
        "policy-val",
        "the validation split is lost",
        damaged_val,
        Expected.STOP,
        "the split is empty: 4 of 4 files",
        commands=("check", "train"),
    ),
]

# data.yaml (62)


def yaml_text(spot: Ground, text: str, line: int = 0) -> str:
    """A data.yaml of this text, or with this text in the place of its names."""
    path = spot.root / "data.yaml"
    if "names" not in text and text:
        text = f"{path.read_text()}{text}\n"
    path.write_text(text)
    return f"data.yaml:line {line or text.count(chr(10))}" if line >= 0 else "data.yaml"


def alias_bomb(depth: int = 9) -> str:
    """Nine times nine ... aliases: harmless while it is not printed, and no list of names."""
    rows = ["a0: &a0 [lol]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, depth)]
    return "\n".join([*rows, f"train: images/train\nval: images/val\nnames: *a{depth - 1}\n"])


def merge_bomb(depth: int = 9) -> str:
    rows = ["a0: &a0 {k: 1}"]
    rows += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, depth)]
    return "\n".join([*rows, "train: images/train\nval: images/val\nnames: [a]\n"])


def yaml_item(id: str, title: str, text: str, pattern: str, line: int = -1) -> BadInput:
    return BadInput(id, title, partial(yaml_text, text=text, line=line), Expected.STOP, pattern, "yolo")


PATHS = "train: images/train\nval: images/val\ntest: images/test\n"

YAML = [
    yaml_item("62-tag", "YAML that asks for Python", "x: !!python/object/apply:os.system ['true']", "", 0),
    yaml_item("62-new", "YAML that asks for a class", "x: !!python/object/new:os.popen ['true']", "", 0),
    yaml_item("62-aliases", "bomb of aliases", alias_bomb(), r"names\[0\] is no text"),
    yaml_item("62-merges", "bomb of merge keys", merge_bomb(), "merge key '<<' not allowed", 2),
    yaml_item("62-twice", "a key twice", "train: images/train", "duplicate key 'train'", 0),
    yaml_item("62-tab", "a tab", "\tnc: 3", "", 0),
    yaml_item("62-number", "names is a number", f"{PATHS}names: 5\n", "names is neither a list"),
    yaml_item("62-count", "nc is not the number of names", "nc: 99", "nc is 99, but there are"),
    yaml_item("62-blank", "an empty name", f"{PATHS}names: [a, '']\n", r"names\[1\] "),
    yaml_item("62-same", "a name twice", f"{PATHS}names: [a, a]\n", r"names\[1\] repeats 'a'"),
    yaml_item("62-list", "a list", "- names\n", "no names"),
    yaml_item("62-deep", "10,000 brackets", f"{PATHS}names: {'[' * 10_000}\n", ""),
]

ITEMS = [*FOLDERS, *YAML]

# Options on the command line (62)


@dataclass(frozen=True)
class BadCall:
    """Words of `neocog train`, and what is said of them."""

    id: str
    words: tuple[str, ...]
    pattern: str


def setting(text: str, pattern: str) -> BadCall:
    return BadCall(text, ("--set", text), pattern)


CALLS = [
    setting("rpn.nsm=0.5", "there is no option 'rpn.nsm'; the nearest is 'rpn.nms'"),
    setting("hiden=64", "there is no option 'hiden'; the nearest is 'hidden'"),
    setting("rpn=1", "the nearest is 'rpn"),
    setting("rpn.nms", "write name=value"),
    setting('rpn.nms="0.6"', "valid number"),
    setting("rpn.nms=NaN", "--set rpn.nms=NaN: "),
    setting("rpn.nms=1e999", "--set rpn.nms=1e999: "),
    setting("rpn.nms=1.5", r"nms must lie in \[0, 1\], got 1.5"),
    setting("rpn.scales=[]", "scales must hold a number at least"),
    setting("rpn.scales=[0]", "scales must lie in"),
    setting("rpn.samples=0", "samples must lie in"),
    setting("rpn.before_nms=[0, 0]", "before_nms must lie in"),
    setting("regions.samples=-1", "samples must lie in"),
    setting("regions.most=0", "most must lie in"),
    setting("hidden=0", "hidden must lie in"),
    setting("hidden=2.5", "valid integer"),
    setting("pool=0", "pool must lie in"),
    setting("dropout=1", "dropout must lie in"),
    setting("level=p9", "no feature map 'p9'"),
    setting("region_level=nowhere", "no feature map 'nowhere'"),
    setting("align=maybe", "--set align=maybe: "),
    BadCall("model", ("--model",), "no such option|No such option"),
    BadCall("lr-nan", ("--lr", "nan"), "--lr must be positive and finite"),
    BadCall("lr-zero", ("--lr", "0"), "--lr must be positive"),
    BadCall("lr-text", ("--lr", "fast"), "'--lr': "),
    BadCall("batch", ("--batch", "0"), "'--batch': "),
    BadCall("size", ("--size", "8"), "'--size': "),
    BadCall("budgets", ("--minutes", "1"), "give one budget"),
    BadCall("device", ("--device", "gpu"), "no device 'gpu'"),
    BadCall("precision", ("--precision", "f64"), "f64"),
    BadCall("backbone", ("--backbone", "resnet51"), "did you mean 'resnet50'"),
    BadCall("split", ("--train-split", "training"), "no split 'training'"),
    BadCall("val-split", ("--val-split", "valid2"), "no split 'valid2'"),
]

# Models and checkpoints (63)


@dataclass(frozen=True)
class BadModel:
    """A way to spoil a run folder. The message must name `place`, relative to the folder, and the pattern."""

    id: str
    make: Callable[[Path], None]
    place: str
    pattern: str


CONFIG, WEIGHTS = "model/config.json", "model/model.safetensors"


def rewrite(run: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    path = run / name
    path.write_bytes(change(path.read_bytes()))


def raw(id: str, name: str, change: Callable[[bytes], bytes], pattern: str) -> BadModel:
    """A file's bytes changed, and nothing else."""
    return BadModel(id, partial(rewrite, name=name, change=change), name, pattern)


def restate(run: Path, data: bytes) -> None:
    """Other weights, with the hash that makes them look right."""
    (run / WEIGHTS).write_bytes(data)
    document = json.loads((run / CONFIG).read_bytes())
    document["sha256"]["model.safetensors"] = hashlib.sha256(data).hexdigest()
    (run / CONFIG).write_text(json.dumps(document))


def hashed(id: str, change: Callable[[bytes], bytes], pattern: str) -> BadModel:
    """Weights changed together with their hash: only what they say can tell."""
    return BadModel(id, lambda run: restate(run, change((run / WEIGHTS).read_bytes())), WEIGHTS, pattern)


def tensors(change: Callable[[dict[str, torch.Tensor]], None]) -> Callable[[bytes], bytes]:
    """A change of named tensors."""

    def code(data: bytes) -> bytes:
        named = load_tensors(data)
        change(named)
        return save_tensors(named)

    return code


def header(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    """A change of the header of a safetensors file."""

    def code(data: bytes) -> bytes:
        end = 8 + struct.unpack("<Q", data[:8])[0]
        document = json.loads(data[8:end])
        change(document)
        text = json.dumps(document).encode()
        return struct.pack("<Q", len(text)) + text + data[end:]

    return code


def poison(named: dict[str, torch.Tensor]) -> None:
    next(value for value in named.values() if value.is_floating_point()).view(-1)[0] = torch.nan


def reshape(named: dict[str, torch.Tensor]) -> None:
    name = next(name for name, value in named.items() if value.ndim == 4)
    named[name] = named[name].flatten()


def overlap(document: dict[str, Any]) -> None:
    first, second, *_ = (value for name, value in document.items() if name != "__metadata__")
    second["data_offsets"] = first["data_offsets"]


def negative(document: dict[str, Any]) -> None:
    first = next(value for name, value in document.items() if name != "__metadata__")
    first["data_offsets"] = [-8, first["data_offsets"][1]]


def edit(change: Callable[[dict[str, Any]], None], *, hand: bool = True) -> Callable[[Path], None]:
    """A change of config.json; by hand, with its hash taken out as people are told to."""

    def make(run: Path) -> None:
        document = json.loads((run / CONFIG).read_text())
        if hand:
            document["sha256"].pop("config")
        change(document)
        (run / CONFIG).write_text(json.dumps(document))

    return make


def config(id: str, pattern: str, **values: Any) -> BadModel:
    """Values of the config changed by hand."""
    return BadModel(id, edit(lambda document: document["config"].update(values)), "model", pattern)


def gone(*names: str) -> Callable[[Path], None]:
    def make(run: Path) -> None:
        for name in names:
            path = run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return make


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def nothing(data: bytes) -> bytes:
    return b""


PICKLE = b"\x80\x04cposix\nsystem\n(S'true'\ntR."
SEEN = "was it made for another model, other classes or other options"

MODELS = [
    raw("63-config-empty", CONFIG, nothing, "damaged, not JSON"),
    raw("63-config-cut", CONFIG, half, "damaged, not JSON"),
    raw(
        "63-config-flipped",
        CONFIG,
        lambda data: data.replace(b"detect", b"defect", 1),
        "does not match its hash",
    ),
    raw("63-config-list", CONFIG, lambda data: b"[1]", "not a file of ours"),
    raw(
        "63-newer", CONFIG, lambda data: data.replace(b'"format": 1', b'"format": 2', 1), "by a newer version"
    ),
    raw("63-weights-empty", WEIGHTS, nothing, "its hash is not the one"),
    raw("63-weights-cut", WEIGHTS, half, "its hash is not the one"),
    raw("63-weights-flipped", WEIGHTS, flip, "its hash is not the one"),
    raw("63-pickle", WEIGHTS, lambda data: PICKLE, "its hash is not the one"),
    hashed("63-pickle-hashed", lambda data: PICKLE, "not a readable safetensors file"),
    hashed(
        "63-header", lambda data: struct.pack("<Q", 1 << 63) + data[8:], "not a readable safetensors file"
    ),
    hashed("63-overlap", header(overlap), "not a readable safetensors file"),
    hashed("63-negative", header(negative), "not a readable safetensors file"),
    hashed("63-cut-hashed", half, "not a readable safetensors file"),
    hashed("63-shape", tensors(reshape), rf"tensor '.*' is float32 \(\d+,\), the model wants .*{SEEN}"),
    hashed("63-nan", tensors(poison), "holds NaN or infinity"),
    hashed("63-missing-key", tensors(lambda named: named.pop(next(iter(named)))), f"is missing.*{SEEN}"),
    hashed("63-extra-key", tensors(lambda n: n.update(x=torch.zeros(1))), f"tensor 'x' is unknown.*{SEEN}"),
    BadModel("63-no-weights", gone(WEIGHTS), WEIGHTS, "missing"),
    BadModel("63-no-model", gone("model"), "", "no model in it"),
    config("63-model", "does not describe a known model", model="slower-rcnn"),
    config("63-backbone", "does not describe a known model", backbone="resnet51"),
    config("63-classes", rf"the model wants .*{SEEN}", classes=["one", "two"]),
    config("63-classes-kind", "config.json: does not describe a known model", classes=5),
    config("63-classes-texts", "config.json: does not describe a known model", classes=[1, None]),
    config("63-size-kind", "config.json: does not describe a known model", size="big"),
    config("63-size-short", "config.json: does not describe a known model", size=[64]),
    config("63-size-zero", "config.json: does not describe a known model", size=[0, 64]),
    config("63-size-huge", "config.json: does not describe a known model", size=[1 << 40, 64]),
    config("63-options-kind", "config.json: does not describe a known model", options=[]),
    config("63-options-range", "config.json: does not describe a known model", options={"pool": -1}),
    BadModel(
        "63-no-classes", edit(lambda document: document["config"].pop("classes")), "model", "a known model"
    ),
    BadModel("63-no-config", edit(lambda document: document.pop("config")), CONFIG, 'no "config"'),
    BadModel("63-no-hash", edit(lambda document: document.pop("sha256"), hand=False), CONFIG, "no hash of"),
]


def checkpoint(run: Path) -> Path:
    """The one checkpoint of a run of one step."""
    (folder,) = (run / "checkpoints").iterdir()
    return folder


def saved(id: str, name: str, change: Callable[[bytes], bytes], pattern: str) -> BadModel:
    """A file of the checkpoint changed."""

    def make(run: Path) -> None:
        rewrite(checkpoint(run), name, change)

    return BadModel(id, make, name, pattern)


def lie(run: Path) -> None:
    """A manifest that names a file that is not there."""
    path = checkpoint(run) / "MANIFEST.json"
    document = json.loads(path.read_text())
    document["files"]["../../run.json"] = {"bytes": 1, "sha256": "0" * 64}
    path.write_text(json.dumps(document))


CHECKPOINTS = [
    saved("63-manifest-empty", "MANIFEST.json", nothing, "damaged, not JSON"),
    saved("63-manifest-newer", "MANIFEST.json", lambda d: d.replace(b": 1,", b": 7,", 1), "a newer version"),
    BadModel("63-manifest-lies", lie, "run.json", "cannot be read|damaged"),
    *(
        saved(f"63-{name}-{kind}", name, change, "damaged")
        for name in ("weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json")
        for kind, change in (("empty", nothing), ("cut", half), ("flipped", flip))
    ),
    BadModel("63-part-gone", lambda run: gone("ema.safetensors")(checkpoint(run)), "ema.safetensors", "read"),
    raw("63-run-empty", "run.json", nothing, "damaged"),
    raw("63-run-cut", "run.json", half, "damaged"),
    raw("63-run-list", "run.json", lambda data: b"[]", "damaged"),
    raw("63-run-other", "run.json", lambda data: b'{"options": {}}', "damaged|was started with"),
]

# Archives (64)


def zipped(path: Path) -> None:
    """Names that lead out of the folder, one name twice, and a ratio of a thousand."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.txt", "x")
        archive.writestr("/tmp/escaped.txt", "x")
        archive.writestr("zeros", b"\0" * 1_000_000)


def tarred(path: Path) -> None:
    """A link out of the folder, a device, and a file through the link."""
    with tarfile.open(path, "w:gz") as archive:
        for name, kind in (
            ("out", tarfile.SYMTYPE),
            ("out/escaped.txt", tarfile.REGTYPE),
            ("d", tarfile.CHRTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/tmp"
            archive.addfile(entry)


ARCHIVES: dict[str, Callable[[Path], None]] = {"a.zip": zipped, "a.tar.gz": tarred, "A.TGZ": tarred}


def bits(length: int, count: int, seed: int) -> list[int]:
    """Places of bits in a file, first and last among them."""
    chosen = np.random.default_rng(seed).integers(0, 8 * length, count - 2).tolist()
    return [0, 8 * length - 1, *chosen]
