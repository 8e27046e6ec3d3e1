"""`neocog explain`: what a trained model computed on the way to its answer, as pictures."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    ThreadsOption,
    as_json,
    check_out,
    find_device,
    output,
    prepare_out,
    use_threads,
    write_json,
)
from neocog.cli.training import OutOption, OverwriteOption
from neocog.files import disk_errors, write_atomic

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from neocog.explain.stages import Stage
    from neocog.predict import Predictor
    from neocog.types import Batch

METHODS = ("stages",)

EXAMPLE = "Example: neocog explain runs/first photo.jpg --method stages --out runs/first/stages"


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, a model folder or coco:NAME.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    out: OutOption,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help=f"What to show: {', '.join(METHODS)}.")
    ] = "stages",
    conf: Annotated[
        float,
        typer.Option("--conf", min=0.0, max=1.0, metavar="X", help="Lowest score of what is shown as found."),
    ] = 0.3,
    overwrite: OverwriteOption = False,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = None,
) -> None:
    """Look inside. `stages`: anchors or cells, proposals, scores, before and after suppression."""
    from neocog.cli.progress import show_download
    from neocog.data.images import read_image
    from neocog.explain.stages import stages
    from neocog.pictures.stages import sheet
    from neocog.predict import load
    from neocog.zoo import known

    known(method, METHODS, "method")
    check_out(out, overwrite=overwrite, reads=[run, image])
    use_threads(threads)
    file = output(json)
    predictor = load(run, find_device(device), "f32", progress=show_download(file))
    pixels = read_image(image)
    batch = predictor.prepare(pixels).to(predictor.device)
    found = stages(predictor.model, batch, conf)
    prepare_out(out, overwrite=overwrite)
    drawn: list[tuple[str, Image]] = []
    records: list[dict[str, Any]] = []
    for number, stage in enumerate(found, 1):
        picture = _draw(stage, pixels, batch, predictor, named=number == len(found))
        name = f"{number}-{stage.name.replace(' ', '-')}.png"
        _save(picture, out / name)
        drawn.append((f"{number} {stage.name}: {stage.total}", picture))
        records.append(_record(stage, batch, predictor) | {"drawn": name})
        print(f"{number} {stage.name}, {stage.total}: {stage.caption}", file=file)
    _save(sheet(drawn), out / "stages.png")
    document = {
        "model": str(run),
        "source": str(image),
        "method": method,
        "conf": conf,
        "stages": records,
    }
    write_atomic(out / "explanation.json", as_json(document))
    write_json(document, json)
    print(f"pictures: {out / 'stages.png'} and one of each stage beside it", file=file)


def _draw(stage: Stage, pixels: np.ndarray, batch: Batch, predictor: Predictor, named: bool) -> Image:
    """The stage over the picture as it is; `named`: with classes and scores, as an answer is drawn."""
    import torch

    from neocog.pictures.draw import draw_detections
    from neocog.pictures.stages import draw_boxes
    from neocog.types import Detections

    frame, labels = batch.frames[0], stage.labels
    if named and labels is not None:
        answer = Detections(frame.to_original(stage.boxes), stage.scores, labels)
        return draw_detections(pixels, answer, predictor.classes, threshold=0.0)
    heat, extent = None, []
    if stage.heat is not None:
        heat = stage.heat.values.numpy()
        covered = torch.tensor([[0.0, 0.0, stage.heat.extent[1], stage.heat.extent[0]]])
        extent = frame.from_input(covered)[0].tolist()
    boxes = frame.from_input(stage.boxes).numpy()
    return draw_boxes(
        pixels, boxes, stage.scores.numpy(), None if labels is None else labels.numpy(), heat, extent
    )


def _record(stage: Stage, batch: Batch, predictor: Predictor) -> dict[str, Any]:
    """The stage as plain values, boxes in pixels of the picture."""
    shown = zip(batch.frames[0].from_input(stage.boxes).tolist(), stage.scores.tolist(), strict=True)
    boxes: list[dict[str, Any]] = [{"box": box, "score": score} for box, score in shown]
    if stage.labels is not None:
        for record, label in zip(boxes, stage.labels.tolist(), strict=True):
            record["name"] = predictor.classes[label]
    return {"name": stage.name, "caption": stage.caption, "boxes": stage.total, "shown": boxes}


def _save(picture: Image, path: Path) -> None:
    encoded = io.BytesIO()
    picture.save(encoded, "PNG")
    with disk_errors(path):
        path.write_bytes(encoded.getvalue())
