"""`neocog predict`: answers to files, folders and globs, as JSON and as drawn pictures."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    PredictPrecisionOption,
    ThreadsOption,
    as_json,
    check_out,
    output,
    prepare_out,
    processes,
    settle_precision,
    use_threads,
    write_json,
)
from neocog.cli.training import OutOption, OverwriteOption, PublishedOption, StrictOption
from neocog.errors import DataError
from neocog.files import disk_errors, make_folder, write_atomic

if TYPE_CHECKING:
    from neocog.distributed.peers import Peers
    from neocog.predict import Predictor
    from neocog.predictions import AnyPrediction

MASKS = "masks"
"""The folder below --out that holds index PNGs of a segmenter's answers."""

MOST_STEM = 200
"""Bytes of a drawn picture's stem: a name has 255, and needs a number and a suffix."""

EXAMPLE = "Example: neocog predict runs/first photos/ 'more/*.jpg' --out found --conf 0.5"


def predict(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="A run folder or a model folder; with --weights, a model's name."),
    ],
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE...", help="Images, folders or globs.")],
    out: OutOption = Path("predictions"),
    weights: PublishedOption = None,
    conf: Annotated[
        float,
        typer.Option(
            "--conf", min=0.0, max=1.0, metavar="X", help="Lowest score of a detection that is reported."
        ),
    ] = 0.5,
    overwrite: OverwriteOption = False,
    strict: StrictOption = False,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    precision: PredictPrecisionOption = "f32",
    json: JsonOption = None,
) -> None:
    """What a model says of pictures: `predictions.json` and a drawn PNG for each, in --out.

    A segmenter also leaves its masks, as PNGs whose grey levels are the classes' numbers, in `masks/`.
    """
    from neocog.cli.progress import show_download
    from neocog.predict import load

    use_threads(threads)
    with processes(device) as peers:
        if peers.first:
            check_out(out, overwrite=overwrite, reads=[run, *sources])
        file = output(json, peers.first)
        precision = peers.spread(settle_precision(precision, run, peers.device, file))
        predictor = load(run, peers.device, precision, progress=show_download(file), weights=weights)
        paths = list(find_images(sources))
        results: list[dict[str, Any]] = []
        skipped: list[str] = []
        for finding in _findings(predictor, paths, conf, strict, peers):
            print(finding.line, file=file)
            if finding.record is None:
                skipped.append(finding.fault)
            elif peers.first:
                if not results:
                    prepare_out(out, overwrite=overwrite)
                results.append(finding.record)
                name = finding.record["drawn"]
                with disk_errors(out / name):
                    (out / name).write_bytes(finding.drawn)
                    if finding.masks:
                        make_folder(out / MASKS)
                        (out / MASKS / name).write_bytes(finding.masks)
        if not peers.first:
            return
        if not results:
            raise DataError(f"none of {len(paths)} images could be read; the first: {skipped[0]}")
        document = {
            "model": str(run),
            "weights": weights,
            "conf": conf,
            "images": results,
            "skipped": skipped,
        }
        write_atomic(out / "predictions.json", as_json(document))
        write_json(document, json)
        lost = f", {len(skipped)} skipped" if skipped else ""
        print(f"{len(results)} pictures{lost}: {out / 'predictions.json'}", file=file)


@dataclass(frozen=True)
class _Finding:
    """What came of one picture."""

    line: str  # for people
    record: dict[str, Any] | None = None  # None where the picture could not be read
    drawn: bytes = b""  # a PNG file
    masks: bytes = b""  # another, of the classes of all pixels, where that is the answer
    fault: str = ""


def _findings(
    predictor: Predictor, paths: Sequence[Path], conf: float, strict: bool, peers: Peers
) -> Iterator[_Finding]:
    """Findings of all pictures, in order. Several processes take turns; the first is given them all."""
    every = list(zip(paths, drawn_names(paths), strict=True))
    for start in range(0, len(every), peers.size):
        mine = every[start + peers.rank : start + peers.rank + 1]
        for found in peers.gather([_find(predictor, path, name, conf, strict) for path, name in mine]):
            yield from found


def _find(predictor: Predictor, path: Path, name: str, conf: float, strict: bool) -> _Finding:
    from neocog.data.files import printable
    from neocog.data.images import read_image
    from neocog.predictions import Prediction

    try:
        pixels = read_image(path)
    except DataError as error:
        if strict:
            raise
        return _Finding(f"{error} (skipped)", fault=str(error))
    found = predictor.predict(pixels)
    drawn = io.BytesIO()
    if isinstance(found, Prediction):
        found = found.above(conf)
        found.draw(pixels, threshold=conf).save(drawn, "PNG")
    else:
        found.draw(pixels).save(drawn, "PNG")
    record = found.to_dict() | {"source": str(path), "drawn": name}
    return _Finding(f"{printable(path)}: {found.line()}", record, drawn.getvalue(), masks=_mask_file(found))


def _mask_file(found: AnyPrediction) -> bytes:
    """The classes of all pixels as an index PNG; nothing of another task."""
    from PIL import Image

    from neocog.predictions import MaskPrediction

    if not isinstance(found, MaskPrediction):
        return b""
    file = io.BytesIO()
    Image.fromarray(found.mask).save(file, "PNG")
    return file.getvalue()


def find_images(sources: Iterable[str]) -> Iterator[Path]:
    """Image files of all sources, in order: files as they are, folders and globs sorted by name."""
    from neocog.data.files import data_errors

    for source in sources:
        with data_errors(Path(source)):
            found = _found(source)
        if not found:
            folder = Path(source).is_dir()
            reason = "no images in this folder" if folder else "no such file, and no file matches it"
            raise DataError(f"{source}: {reason}")
        yield from found


def _found(source: str) -> list[Path]:
    from neocog.data.files import images_below

    path = Path(source)
    if path.is_dir():
        return sorted(path / name for name in images_below(path))
    if path.exists():
        return [path]
    return sorted(Path(name) for name in glob.glob(source, recursive=True))  # noqa: PTH207


def drawn_names(paths: Iterable[Path]) -> list[str]:
    """A PNG name for each picture; numbered where two pictures have one name, and cut to what disks take."""
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        stem = path.stem
        while len(os.fsencode(stem)) > MOST_STEM:
            stem = stem[:-1]
        name, count = f"{stem}.png", 1
        while name.lower() in taken:
            count += 1
            name = f"{stem}-{count}.png"
        taken.add(name.lower())
        names.append(name)
    return names
