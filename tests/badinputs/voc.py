"""Bad VOC files: the part of catalogue section D that is about XML and lists, items 53 to 57."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.badinputs import SIDE, BadInput, Command, Expected, Ground
from tests.badinputs.edits import CLASS, append, read_text, voc_object, write_text
from tests.references.datasets import save_picture, xml_object

DROP, FIX, OK, STOP = Expected.DROP_ANN, Expected.FIX, Expected.OK, Expected.STOP
SKIP = Expected.SKIP_FILE

CORNERS = (10, 12, 30, 26)
GOOD = xml_object(CLASS, CORNERS)
TWO_BOXES = GOOD.replace("</object>", "<bndbox><xmin>1</xmin></bndbox></object>")
HAHA = "".join(f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcdef", "bcdefg", strict=True))
BOMB = f"<!DOCTYPE a [<!ENTITY a 'ha'>{HAHA}]><annotation>&g;</annotation>"
EXTERNAL = "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><annotation>&b;</annotation>"
REMOTE = "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><annotation/>"


def whole(spot: Ground, data: bytes | Callable[[bytes], bytes]) -> str:
    """Replace the XML file of the next picture."""
    path = spot.annotation(spot.picture())
    path.write_bytes(data if isinstance(data, bytes) else data(path.read_bytes()))
    return spot.place(path)


def head(spot: Ground, old: str, new: str) -> str:
    """Change what stands before the objects in the file of the next picture."""
    path = spot.annotation(spot.picture())
    text = read_text(path)
    at = text.index(f"<{old}>"), text.index(f"</{old}>") + len(f"</{old}>")
    write_text(path, text[: at[0]] + new + text[at[1] :])
    return spot.place(path)


def train_list(spot: Ground) -> Path:
    return spot.root / "ImageSets/Main/train.txt"


def rewritten_list(spot: Ground, change: Callable[[str], str]) -> str:
    """The list of the training split as another editor leaves it."""
    path = train_list(spot)
    write_text(path, change(read_text(path)))
    return spot.place(path)


def listed_twice(spot: Ground) -> str:
    path = train_list(spot)
    append(path, f"{spot.picture().stem}\n")
    return f"{spot.place(path)}:entry {len(read_text(path).split())}"


def listed_outside(spot: Ground) -> str:
    save_picture(spot.root.parent / "secret.png", SIDE, SIDE)
    append(train_list(spot), "../../secret\n")
    return "Annotations/../../secret.xml"


def listed_absent(spot: Ground) -> str:
    append(train_list(spot), "absent\n")
    return "Annotations/absent.xml"


def annotation_gone(spot: Ground) -> str:
    path = spot.annotation(spot.picture())
    path.unlink()
    return spot.place(path)


def unlisted(spot: Ground) -> str:
    """An XML file that no list names."""
    path = spot.root / "Annotations/unlisted.xml"
    write_text(path, f"<annotation>{GOOD}</annotation>")
    return spot.place(path)


def nested(spot: Ground) -> str:
    """An object within another: its box is counted after the objects."""
    inner = xml_object(CLASS, (1, 1, 9, 9))
    place = voc_object(spot, GOOD.replace("</object>", f"{inner}</object>"))
    file, _, number = place.rpartition(" ")
    return f"{file} {int(number) + 1}"


def cases(spot: Ground) -> str:
    """A class that is another one but for a capital letter."""
    write_text(spot.root / "classes.txt", read_text(spot.root / "classes.txt") + "Disc\n")
    return "."


def class_twice(spot: Ground) -> str:
    append(spot.root / "classes.txt", f"{CLASS}\n")
    return "classes.txt"


def skip(id: str, title: str, data: bytes | Callable[[bytes], bytes], pattern: str) -> BadInput:
    return BadInput(id, title, partial(whole, data=data), SKIP, pattern)


def object_item(id: str, title: str, text: str, pattern: str, expected: Expected = DROP) -> BadInput:
    return BadInput(id, title, partial(voc_object, text=text), expected, pattern)


def size(width: object, height: object) -> str:
    return f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"


FILES = [
    skip("53-bomb", "entities that grow", BOMB.encode(), "DTD not allowed"),
    skip("53-utf16", "the same in UTF-16", f"\ufeff{BOMB}".encode("utf-16-le"), "DTD not allowed"),
    skip("53-external", "an entity that reads a file", EXTERNAL.encode(), "DTD not allowed"),
    skip("53-remote", "a DTD on a server", REMOTE.encode(), "DTD not allowed"),
    skip(
        "53-ebcdic",
        "a DTD in a code page without ASCII",
        b"<?xml version='1.0' encoding='cp037'?>" + BOMB.encode("cp037"),
        r"damaged XML",
    ),
    skip("54-cut", "cut in the middle", lambda data: data[: len(data) // 2], r"damaged XML \(line \d+"),
    skip("54-empty", "empty file", b"", "empty file"),
    skip("54-html", "an error page", b"<html><body>404</body></html>", "not VOC: the root is <html>"),
    skip(
        "54-namespace",
        "a namespace",
        lambda data: data.replace(b"<annotation>", b"<annotation xmlns='urn:x'>"),
        "not VOC: the root is",
    ),
    skip(
        "54-encoding",
        "wrong encoding declared",
        lambda data: b"<?xml version='1.0' encoding='utf-8'?>" + data.replace(b"disc", b"di\xe9sc") + b"\xe9",
        "damaged XML",
    ),
    skip(
        "54-klingon",
        "unknown encoding declared",
        lambda data: b"<?xml version='1.0' encoding='klingon'?>" + data,
        "damaged XML",
    ),
]

OBJECTS = [
    object_item("54-boxes", "two boxes in one object", TWO_BOXES, "2 <bndbox> instead of 1"),
    object_item("54-boxless", "no box", f"<object><name>{CLASS}</name></object>", "0 <bndbox> instead of 1"),
    object_item("54-nameless", "no name", GOOD.replace(f"<name>{CLASS}</name>", ""), "object without <name>"),
    object_item("54-blank", "blank name", GOOD.replace(CLASS, "  "), "object without <name>"),
    object_item(
        "54-names",
        "two names",
        GOOD.replace("<name>", "<name>square</name><name>"),
        "2 <name> instead of 1",
    ),
    object_item("54-corner", "no xmax", GOOD.replace("<xmax>30</xmax>", ""), "no <xmax>"),
    object_item(
        "54-word", "a word as corner", GOOD.replace(">30<", ">wide<"), "<xmax> is 'wide', not a number"
    ),
    object_item("54-unknown", "unknown class", GOOD.replace(CLASS, "zebra"), "unknown class 'zebra'"),
    object_item("54-case", "class in other case", GOOD.replace(CLASS, "Disc"), "did you mean 'disc'"),
    object_item(
        "54-stray", "box outside any object", GOOD.replace("object>", "thing>"), "belongs to no <object>"
    ),
    BadInput("54-nested", "object inside an object", nested, DROP, "belongs to no <object>"),
    object_item(
        "54-unspecified",
        "difficult Unspecified",
        xml_object(CLASS, CORNERS, "<difficult>Unspecified</difficult>"),
        "",
        OK,
    ),
    object_item(
        "54-difficult",
        "difficult yes",
        xml_object(CLASS, CORNERS, "<difficult>yes</difficult>"),
        "<difficult> is 'yes', read as 0",
        OK,
    ),
    object_item("54-floats", "corners with decimals", xml_object(CLASS, (10.25, 12.5, 30.75, 26.0)), "", OK),
    object_item("54-zero", "0-based corners", xml_object(CLASS, (0, 0, 30, 26)), "", OK),
]

SIZES = [
    BadInput("55-absent", "no size", partial(head, old="size", new=""), OK, "no image size declared"),
    BadInput("55-zero", "size 0", partial(head, old="size", new=size(0, 0)), OK, "no image size declared"),
    BadInput("55-wrong", "wrong size", partial(head, old="size", new=size(50, SIDE)), OK, "size is wrong"),
    BadInput("55-word", "size in words", partial(head, old="size", new=size("a", "b")), OK, "no image size"),
    BadInput(
        "56-name",
        "<filename> of another picture",
        partial(head, old="filename", new="<filename>other.png</filename>"),
        OK,
        r"<filename> names another image \(noted; 'other.png'; matched by name\)",
    ),
]

LISTS = [
    BadInput("57-twice", "an entry twice", listed_twice, FIX, "image listed twice"),
    BadInput("57-outside", "an entry that leads out", listed_outside, SKIP, "leads outside root"),
    BadInput("57-absent", "an entry of nothing", listed_absent, SKIP, "no such file"),
    BadInput("54-gone", "a picture without its XML", annotation_gone, SKIP, "no such file"),
    BadInput("37-unlisted-xml", "an XML in no list", unlisted, OK, "annotation in no split"),
]

KEPT: tuple[Command, ...] = ("load", "check", "train")  # a model of the good classes cannot be evaluated

ALONE = [
    BadInput(
        "57-crlf",
        "a list with CRLF and blank lines",
        partial(rewritten_list, change=lambda text: "\r\n" + text.replace("\n", "\r\n\r\n")),
        OK,
    ),
    BadInput(
        "57-suffix",
        "a list of file names",
        partial(rewritten_list, change=lambda text: text.replace("\n", ".png\n")),
        OK,
    ),
    BadInput(
        "57-single",
        "a list of one entry",
        partial(rewritten_list, change=lambda text: text.split("\n")[0]),
        OK,
    ),
    BadInput("46-cases", "two classes but for a capital", cases, OK, "differ only in case", commands=KEPT),
    BadInput("46-classes", "a class listed twice", class_twice, STOP, "a class is listed twice"),
]
"""What concerns the whole data set, each in one of its own."""

TOGETHER = [*FILES, *OBJECTS, *SIZES, *LISTS]
"""What concerns one file or record: many of them in one data set."""
