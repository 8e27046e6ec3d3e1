"""Damage to annotation files, at random or where it hurts: each way is a function of a draw and the bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

Draw = np.random.Generator

NUMBERS = (
    *("NaN", "nan", "Infinity", "-inf", "1e999", "-1e999", "1e308", "-1e9", "9" * 30, "9" * 5000, "-1", "0"),
    *(
        "1.5",
        "-0.0",
        "0x10",
        "1_0",
        "",
        "null",
        "true",
        '"7"',
        "[]",
        "{}",
        "[[[1]]]",
        "1e-320",
        "0.5.5",
        "\u0663",
    ),
)
WORDS = (
    *(
        "",
        " ",
        "x" * 100_000,
        "\\ud800",
        "\\u0000",
        "../../secret.png",
        "/etc/hostname",
        "a\\nb",
        "\U0001f408",
    ),
    *(
        "http://127.0.0.1:9/a",
        "<",
        "&amp;",
        "&b;",
        "\x1b[31m",
        "\x00",
        "cat",
        "Cat ",
        "p1.png",
        ".",
        "C:\\\\a",
        "%s",
    ),
    *(
        "!!python/object:os.system x",
        "*a",
        "&a [*a]",
        "<<",
        "<![CDATA[",
        "-->",
        "NaN",
        "train",
        "\u202e",
        "e\u0301",
    ),
)
CODES = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "latin-1", "cp037", "utf-7", "shift_jis")
NESTS = (("[", "]"), ('{"a":', "}"), ("<a>", "</a>"), ("- ", ""), ("(", ")"), ("a: [", "]"))


def span(draw: Draw, data: Sequence[object], most: int = 200) -> tuple[int, int]:
    start = int(draw.integers(len(data) + 1))
    return start, min(len(data), start + int(draw.integers(1, most)))


def pick(draw: Draw, values: Sequence[str]) -> str:
    return values[int(draw.integers(len(values)))]


def flip(draw: Draw, data: bytes) -> bytes:
    changed = bytearray(data)
    for at in draw.integers(len(data), size=int(draw.integers(1, 6))) if data else ():
        changed[at] ^= 1 << int(draw.integers(8))
    return bytes(changed)


def shorten(draw: Draw, data: bytes) -> bytes:
    return data[: int(draw.integers(len(data) + 1))]


def remove(draw: Draw, data: bytes) -> bytes:
    start, end = span(draw, data)
    return data[:start] + data[end:]


def repeat(draw: Draw, data: bytes) -> bytes:
    start, end = span(draw, data)
    return data[:end] + data[start:end] * int(draw.choice([1, 2, 1000])) + data[end:]


def noise(draw: Draw, data: bytes) -> bytes:
    at = int(draw.integers(len(data) + 1))
    return data[:at] + draw.bytes(int(draw.integers(1, 40))) + data[at:]


def move(draw: Draw, data: bytes) -> bytes:
    (start, end), at = span(draw, data), int(draw.integers(len(data) + 1))
    return data[:at] + data[start:end] + data[at:]


def recode(draw: Draw, data: bytes) -> bytes:
    return data.decode("utf-8", "replace").encode(pick(draw, CODES), "replace")


def replace(draw: Draw, data: bytes, pattern: bytes, values: Sequence[str]) -> bytes:
    """Some of what matches gets another value."""
    places = list(re.finditer(pattern, data))
    chosen = draw.permutation(len(places))[: int(draw.integers(1, 4))].tolist()
    for match in sorted((places[at] for at in chosen), key=lambda m: -m.start()):
        value = pick(draw, values).encode("utf-8", "surrogatepass")
        data = data[: match.start()] + value + data[match.end() :]
    return data


def number(draw: Draw, data: bytes) -> bytes:
    return replace(draw, data, rb"-?\d+(\.\d+)?", NUMBERS)


def word(draw: Draw, data: bytes) -> bytes:
    return replace(draw, data, rb"(?<=[\">])[^\"<>{}\[\],:]+(?=[\"<])|[A-Za-z_]{3,}", WORDS)


def rename(draw: Draw, data: bytes) -> bytes:
    """One name becomes another wherever it stands: the syntax survives."""
    names = sorted(set(re.findall(rb"[A-Za-z_]{2,}", data))) or [b"x"]
    old, new = (names[int(draw.integers(len(names)))] for _ in range(2))
    return data.replace(old, new if draw.integers(2) else pick(draw, WORDS[:6]).encode())


def nest(draw: Draw, data: bytes) -> bytes:
    start, end = span(draw, data)
    opening, closing = NESTS[int(draw.integers(len(NESTS)))]
    depth = int(draw.choice([10, 990, 20_000]))
    closing *= int(draw.integers(2))
    return data[:start] + opening.encode() * depth + data[start:end] + closing.encode() * depth + data[end:]


def parts(draw: Draw, data: bytes) -> bytes:
    """Whole objects, elements or lines, repeated, left out or in another order."""
    pieces = re.split(rb"(?<=\n)|(?<=\},)|(?<=</object>)|(?<=</size>)|(?<=\],)", data)
    at = draw.integers(len(pieces), size=len(pieces) + 2)
    return b"".join(pieces[n] for n in (np.sort(at) if draw.integers(2) else at).tolist())


DAMAGE: tuple[Callable[[Draw, bytes], bytes], ...] = (
    *(flip, shorten, remove, repeat, noise, move, recode, rename, nest, parts),
    *(number, number, number, word, word),
)
