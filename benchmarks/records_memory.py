"""What do labels cost in memory? The peak of opening a data set with a million annotations.

    python benchmarks/records_memory.py                                 1,000,000 boxes in 20,000 pictures
    python benchmarks/records_memory.py --images 100000 --format yolo

Writes a synthetic data set (tiny pictures, many names for a few files) to a temporary folder and opens it in
a fresh process. Prints the peak of that process's resident memory, how much of it was there before, and the
bytes that the records take afterwards: they are flat arrays. Exits with 1 when the peak is above `--limit`
megabytes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from PIL import Image

SIDE = 64  # pixels of a picture
LINKS = 10_000  # names a file may have on common file systems, rounded down


def write_pictures(folder: Path, count: int) -> list[str]:
    """`count` names of a few one-colour pictures."""
    folder.mkdir(parents=True)
    names = [f"picture-{number:07}.png" for number in range(count)]
    for first in range(0, count, LINKS):
        buffer = io.BytesIO()
        Image.new("RGB", (SIDE, SIDE), (first // LINKS % 256, 0, 0)).save(buffer, "PNG")
        original = folder / names[first]
        original.write_bytes(buffer.getvalue())
        for name in names[first + 1 : first + LINKS]:
            os.link(original, folder / name)
    return names


def boxes(count: int) -> Iterator[tuple[int, float, float, float, float]]:
    """Labels and whole-pixel corners inside a picture, no two alike one after another."""
    rng = random.Random(0)
    for _ in range(count):
        x, y = rng.randrange(SIDE - 20), rng.randrange(SIDE - 20)
        yield rng.randrange(3), x, y, x + 1 + 18 * rng.random(), y + 1 + 18 * rng.random()


def write_coco(root: Path, names: list[str], count: int) -> None:
    """One JSON file, written line by line."""
    (root / "annotations").mkdir()
    with (root / "annotations" / "instances_train.json").open("w", encoding="utf-8") as file:
        file.write('{"categories": ')
        json.dump([{"id": 1 + k, "name": name} for k, name in enumerate(("ant", "bee", "cat"))], file)
        file.write(', "images": [\n')
        for number, name in enumerate(names):
            entry = {"id": number, "file_name": name, "width": SIDE, "height": SIDE}
            file.write(("," if number else "") + json.dumps(entry) + "\n")
        file.write('], "annotations": [\n')
        for number, (label, x0, y0, x1, y1) in enumerate(boxes(count)):
            entry = {
                "id": number,
                "image_id": number % len(names),
                "category_id": 1 + label,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            }
            file.write(("," if number else "") + json.dumps(entry) + "\n")
        file.write("]}\n")


def write_yolo(root: Path, names: list[str], count: int) -> None:
    """A label file a picture."""
    (root / "data.yaml").write_text("names: [ant, bee, cat]\ntrain: images/train\n")
    labels = root / "labels" / "train"
    labels.mkdir(parents=True)
    drawn = boxes(count)
    for number, name in enumerate(names):
        share = count // len(names) + (number < count % len(names))
        lines = []
        for label, x0, y0, x1, y1 in (next(drawn) for _ in range(share)):
            values = (x0 + x1) / 2 / SIDE, (y0 + y1) / 2 / SIDE, (x1 - x0) / SIDE, (y1 - y0) / SIDE
            lines.append(" ".join([str(label), *map(repr, values)]))
        (labels / Path(name).with_suffix(".txt")).write_text("\n".join(lines) + "\n")


def peak_mb() -> float:
    """The largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def load(root: Path) -> None:
    """Open the data set and print what it cost as JSON: the work of the fresh process."""
    from neocog.data.open import open_data
    from neocog.data.records import ImageDataset

    before, began = peak_mb(), time.monotonic()
    data = open_data(root, "train")
    seconds = time.monotonic() - began
    assert isinstance(data, ImageDataset)
    records = {f.name: getattr(data.records, f.name) for f in fields(data.records)}
    result = {
        "images": len(data),
        "annotations": len(records["labels"]),
        "seconds": seconds,
        "before_mb": before,
        "peak_mb": peak_mb(),
        "bytes": {name: values.nbytes for name, values in records.items()},
        "types": sorted({type(values).__name__ for values in records.values()}),
    }
    print(json.dumps(result))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--annotations", type=int, default=1_000_000)
    parser.add_argument("--format", choices=("coco", "yolo"), default="coco")
    parser.add_argument("--limit", type=float, default=2000.0, help="MB at the peak")
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load is not None:
        load(options.load)
        return 0
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "million"
        folder = root / ("train" if options.format == "coco" else "images/train")
        names = write_pictures(folder, options.images)
        {"coco": write_coco, "yolo": write_yolo}[options.format](root, names, options.annotations)
        command = [sys.executable, __file__, "--load", str(root)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    stored = sum(result["bytes"].values())
    print(
        f"{result['annotations']:,} annotations of {result['images']:,} images ({options.format}) opened in "
        f"{result['seconds']:.1f} s"
    )
    print(
        f"peak {result['peak_mb']:.0f} MB (limit {options.limit:g}), "
        f"of which {result['before_mb']:.0f} before"
    )
    print(
        f"records afterwards: {stored / 2**20:.1f} MB in {', '.join(result['types'])}, "
        f"{stored / result['annotations']:.1f} bytes an annotation"
    )
    return 1 if result["peak_mb"] > options.limit else 0


if __name__ == "__main__":
    sys.exit(main())
