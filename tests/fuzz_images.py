"""Mutated pictures by the hundred thousand: each is a picture or one reason, never a crash and never a hang.

    python -m tests.fuzz_images --count 100000 --seed 1
    python -m tests.fuzz_images --minutes 30 --seed 2 --state fuzz.json    (again: goes on where it stopped)

Cases depend on seed and number alone. They run in a child process that says which case it is at; when it dies
or stays at one case for more than five seconds, that case is a failure, and a new child goes on behind it.
`--keep DIR` keeps the bytes of failures. The exit code is 1 when there is one.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from neocog.data.images import probe_image, read_image
from neocog.errors import DataError

MOST_SECONDS = 5.0
MOST_GROWTH = 256 << 20  # bytes of memory over a whole run
SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "BMP": ".bmp", "WEBP": ".webp", "TIFF": ".tif"}

Draw = np.random.Generator


def seed_picture(width: int = 48, height: int = 36) -> Image.Image:
    """Smooth colours with some noise."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    noise = np.random.default_rng(0).normal(0, 0.03, (height, width, 3))
    pixels = np.stack([x, y, (x + y) / 2], axis=-1) + noise
    return Image.fromarray((pixels.clip(0, 1) * 255).astype(np.uint8))


@cache
def seeds() -> tuple[bytes, ...]:
    """Good files of every kind that is read, and of some that are refused."""
    rgb = seed_picture()
    grey, palette, alpha = rgb.convert("L"), rgb.quantize(64), rgb.convert("RGBA")
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    floats = Image.fromarray(np.asarray(grey).astype(np.float32))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    kinds: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (rgb, "JPEG", {}),
        (rgb, "JPEG", {"progressive": True}),
        (rgb, "JPEG", {"exif": exif, "comment": b"note", "subsampling": 0}),
        (grey, "JPEG", {"restart_marker_blocks": 4}),
        (rgb.convert("CMYK"), "JPEG", {"quality": 95}),
        (rgb, "PNG", {}),
        (rgb, "PNG", {"exif": exif, "compress_level": 0}),
        (palette, "PNG", {"transparency": 3}),
        (wide, "PNG", {}),
        (alpha, "PNG", {}),
        (grey.convert("1"), "PNG", {}),
        (rgb, "PNG", {"save_all": True, "append_images": [rgb.rotate(180)]}),
        (rgb, "BMP", {}),
        (palette, "BMP", {}),
        (grey.convert("1"), "BMP", {}),
        (rgb, "WEBP", {}),
        (rgb, "WEBP", {"lossless": True, "exif": exif}),
        (alpha, "WEBP", {}),
        (rgb, "WEBP", {"save_all": True, "append_images": [rgb.rotate(180)]}),
        (rgb, "TIFF", {}),
        (rgb, "TIFF", {"compression": "tiff_lzw", "exif": exif}),
        (rgb, "TIFF", {"compression": "tiff_adobe_deflate"}),
        (rgb, "TIFF", {"compression": "jpeg"}),
        (grey.convert("1"), "TIFF", {"compression": "group4"}),
        (wide, "TIFF", {}),
        (floats, "TIFF", {}),
        (rgb, "GIF", {}),
    ]
    made = []
    for image, format, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        made.append(buffer.getvalue())
    return (*made, run_length_bmp())


def run_length_bmp() -> bytes:
    """An 8-bit run-length BMP, which Pillow reads but does not write."""
    rows = b"".join(bytes([24, row, 24, 99, 0, 0]) for row in range(36)) + b"\0\1"
    table = bytes(value for grey in range(256) for value in (grey, grey, grey, 0))
    start = 54 + len(table)
    head = struct.pack(
        "<IIIIiiHHIIiiII", start + len(rows), 0, start, 40, 48, 36, 1, 8, 1, len(rows), 0, 0, 256, 0
    )
    return b"BM" + head + table + rows


def flip_bytes(data: bytearray, draw: Draw) -> None:
    for at in draw.integers(0, len(data), draw.integers(1, 9)).tolist():
        data[at] = int(draw.integers(256))


def flip_bits(data: bytearray, draw: Draw) -> None:
    for at in draw.integers(0, len(data) * 8, draw.integers(1, 9)).tolist():
        data[at // 8] ^= 1 << at % 8


def cut(data: bytearray, draw: Draw) -> None:
    del data[int(draw.integers(1, len(data))) :]


def insert(data: bytearray, draw: Draw) -> None:
    at = int(draw.integers(len(data)))
    data[at:at] = draw.bytes(int(draw.integers(1, 64)))


def delete(data: bytearray, draw: Draw) -> None:
    at = int(draw.integers(len(data)))
    del data[at : at + int(draw.integers(1, 64))]


def swap(data: bytearray, draw: Draw) -> None:
    """Two stretches change places."""
    size = int(draw.integers(1, max(2, min(200, len(data) // 2))))
    first, second = sorted(draw.integers(0, max(1, len(data) - size), 2).tolist())
    if first + size <= second:
        one, two = data[first : first + size], data[second : second + size]
        data[first : first + size], data[second : second + size] = two, one


def double(data: bytearray, draw: Draw) -> None:
    """A stretch stands twice."""
    at, size = int(draw.integers(len(data))), int(draw.integers(1, 200))
    data[at:at] = data[at : at + size]


def splice(data: bytearray, draw: Draw) -> None:
    """The rest comes from another file."""
    other = seeds()[int(draw.integers(len(seeds())))]
    data[int(draw.integers(1, len(data))) :] = other[int(draw.integers(len(other))) :]


def extreme(data: bytearray, draw: Draw) -> None:
    """A field near the start holds an extreme number."""
    layout = ("<H", ">H", "<I", ">I")[int(draw.integers(4))]
    size = struct.calcsize(layout)
    top = 256**size - 1
    values = (0, 1, top, top // 2, top // 2 + 1, 7000, 50_000, top - 1)
    at = int(draw.integers(0, max(1, min(400, len(data) - size))))
    data[at : at + size] = struct.pack(layout, values[int(draw.integers(len(values)))] & top)


MUTATIONS: tuple[Callable[[bytearray, Draw], None], ...] = (
    flip_bytes,
    flip_bits,
    cut,
    insert,
    delete,
    swap,
    double,
    splice,
    extreme,
    extreme,
)


def mend_png(data: bytes) -> bytes:
    """A PNG with the checksums its chunks should have, so that damage gets past them."""
    position, mended = 8, bytearray(data[:8])
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4])
        if end + 4 > len(data):
            break
        mended += data[position:end] + struct.pack(">I", zlib.crc32(data[position + 4 : end]))
        position = end + 4
    return bytes(mended) + data[position:]


def case(seed: int, number: int) -> tuple[bytes, str]:
    """The bytes of one case, and a suffix for its name."""
    draw = np.random.default_rng([seed, number])
    data = bytearray(seeds()[number % len(seeds())])
    for _ in range(int(draw.integers(1, 4))):
        if len(data) > 16:
            MUTATIONS[int(draw.integers(len(MUTATIONS)))](data, draw)
    made = bytes(data)
    if made.startswith(b"\x89PNG") and draw.integers(2):
        made = mend_png(made)
    return made, list(SUFFIXES.values())[int(draw.integers(len(SUFFIXES)))]


def outcome(path: Path) -> str:
    """The reason why a file is refused, or "" for a picture; AssertionError for anything else."""
    try:
        info = probe_image(path)
    except DataError as error:
        probed = _reason(error, path)
        info = None
    try:
        image = read_image(path)
    except DataError as error:
        return _reason(error, path)
    assert info is not None, f"read, but probed: {probed}"
    assert image.dtype == np.uint8 and image.shape == (info.height, info.width, 3), (image.shape, info)
    return ""


def _reason(error: DataError, path: Path) -> str:
    text = str(error)
    assert text.startswith(f"{path}: ") and len(text.splitlines()) == 1 and text.isprintable(), repr(text)
    return text.removeprefix(f"{path}: ")


def resident() -> int:
    """Bytes of memory this process holds, where the system says so."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def work(seed: int, start: int, stop: int, folder: str, pipe: Connection) -> None:
    """Run cases, and tell of each: (number, reason or None for a picture, failure)."""
    for number in range(start, stop):
        data, suffix = case(seed, number)
        path = Path(folder) / f"case{suffix}"
        path.write_bytes(data)
        try:
            pipe.send((number, outcome(path), "", resident()))
        except Exception as error:  # whatever else gets out is what this program looks for
            pipe.send((number, "", f"{type(error).__name__}: {error}"[:500], resident()))


class Campaign:
    """Runs cases in children and keeps the books."""

    def __init__(self, seed: int, state: dict[str, Any], keep: Path | None) -> None:
        self.seed, self.keep = seed, keep
        self.done, self.pictures = int(state["done"]), int(state["pictures"])
        self.refused: Counter[str] = Counter(state["refused"])
        self.failures: list[dict[str, Any]] = list(state["failures"])
        self.slowest = (0.0, -1)
        self.growth = 0
        self._first = 0

    def run(self, stop: int, deadline: float) -> None:
        with tempfile.TemporaryDirectory() as folder:
            while self.done < stop and time.monotonic() < deadline:
                self._child(stop, deadline, folder)

    def _child(self, stop: int, deadline: float, folder: str) -> None:
        ours, theirs = multiprocessing.get_context("spawn").Pipe(duplex=False)
        child = multiprocessing.get_context("spawn").Process(
            target=work, args=(self.seed, self.done, stop, folder, theirs), daemon=True
        )
        child.start()
        theirs.close()
        self._first, patience = 0, 60.0  # the first answer includes the start of the process
        while self.done < stop and time.monotonic() < deadline:
            began = time.monotonic()
            try:
                if not ours.poll(patience):
                    self._fail(f"hangs: no answer in {patience:.0f} s")
                    break
                self._note(*ours.recv(), time.monotonic() - began if self._first else 0.0)
            except EOFError:
                child.join(10)
                self._fail(f"the process died (exit code {child.exitcode})")
                break
            patience = MOST_SECONDS
        child.kill()
        child.join()
        ours.close()

    def _note(self, number: int, reason: str, failure: str, memory: int, seconds: float) -> None:
        assert number == self.done
        self._first = self._first or memory or 1
        self.growth = max(self.growth, memory - self._first)
        self.slowest = max(self.slowest, (seconds, number))
        if failure:
            self._fail(failure)
            return
        self.done += 1
        if reason:
            self.refused[_class_of(reason)] += 1
        else:
            self.pictures += 1

    def _fail(self, failure: str) -> None:
        self.failures.append({"case": self.done, "seed": self.seed, "failure": failure})
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            data, suffix = case(self.seed, self.done)
            (self.keep / f"{self.seed}-{self.done}{suffix}").write_bytes(data)
        self.done += 1

    def state(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "done": self.done,
            "pictures": self.pictures,
            "refused": dict(self.refused.most_common()),
            "failures": self.failures,
        }


def _class_of(reason: str) -> str:
    """A reason without its figures."""
    return reason.partition(" (")[0].lstrip("0123456789 ")


def main() -> int:
    parser = argparse.ArgumentParser(description="Decode mutated pictures; none may crash or hang.")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after so long")
    parser.add_argument("--state", type=Path, help="go on from this file, and write it")
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--keep", type=Path, help="folder for the bytes of failures")
    words = parser.parse_args()
    state: dict[str, Any] = {"seed": words.seed, "done": 0, "pictures": 0, "refused": {}, "failures": []}
    if words.state and words.state.exists():
        state = json.loads(words.state.read_text())
        if state["seed"] != words.seed:
            parser.error(f"{words.state} is of seed {state['seed']}")
    campaign, began = Campaign(words.seed, state, words.keep), time.monotonic()
    campaign.run(words.count, began + 60 * words.minutes)
    result = campaign.state() | {"growth": campaign.growth, "slowest": campaign.slowest}
    for path in (words.state, words.json):
        if path:
            path.write_text(json.dumps(result, indent=1) + "\n")
    seconds = time.monotonic() - began
    print(
        f"{campaign.done} of {words.count} cases of seed {words.seed} in {seconds:.0f} s: "
        f"{campaign.pictures} pictures, {sum(campaign.refused.values())} refused, "
        f"{len(campaign.failures)} failures; slowest "
        f"{campaign.slowest[0]:.2f} s (case {campaign.slowest[1]}), memory +{campaign.growth / 2**20:.0f} MiB"
    )
    for reason, count in campaign.refused.most_common(12):
        print(f"  {count:6d}  {reason}")
    for failure in campaign.failures:
        print(f"  FAILED  case {failure['case']}: {failure['failure']}")
    grown = campaign.growth > MOST_GROWTH
    if grown:
        print(f"  FAILED  memory grew by more than {MOST_GROWTH >> 20} MiB")
    return 1 if campaign.failures or grown else 0


if __name__ == "__main__":
    sys.exit(main())
