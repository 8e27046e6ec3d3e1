"""Bad folders, configuration and archives: of part E of the catalogue."""

from __future__ import annotations

import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

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
    yaml_item("62-root", "the whole disk", "train: /\nnames: [a]\n", "train is the whole file system"),
    yaml_item(
        "62-root-back", "a lone backslash", "train: \\\nnames: [a]\n", "train is the whole file system"
    ),
    yaml_item("62-large", "200 KiB of brackets", f"names: [{'[],' * 68_000}]\n", "> 128 KiB limit"),
    yaml_item("62-deep", "10,000 brackets", f"{PATHS}names: {'[' * 10_000}\n", ""),
]

ITEMS = [*FOLDERS, *YAML]

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
