"""`neocog explain`: what a trained model computed on the way to its answer, as pictures."""

from __future__ import annotations

import io
import re
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
    from PIL.Image import Image

    from neocog.explain.subject import Shown

METHODS = (
    "stages",
    "features",
    "filters",
    "deconvnet",
    "guided",
    "gradcam",
    "occlusion",
    "invariance",
    "heatmap",
    "units",
)

EXAMPLE = "Example: neocog explain runs/first photo.jpg --method gradcam --out runs/first/gradcam"


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, a model folder or coco:NAME.")],
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    out: OutOption,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help=f"What to show: {', '.join(METHODS)}.")
    ] = "stages",
    level: Annotated[
        str | None,
        typer.Option("--level", metavar="NAME", help="A map of the backbone (default: suits the method)."),
    ] = None,
    unit: Annotated[
        int | None, typer.Option("--unit", metavar="CHANNEL", help="One channel of that map.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", metavar="CLASS", help="The class to explain (default: what is found)."),
    ] = None,
    conf: Annotated[
        float,
        typer.Option("--conf", min=0.0, max=1.0, metavar="X", help="Lowest score of what is shown as found."),
    ] = 0.3,
    overwrite: OverwriteOption = False,
    threads: ThreadsOption = None,
    device: DeviceOption = "auto",
    json: JsonOption = None,
) -> None:
    """Look inside.

    `stages`: anchors or cells, proposals, scores, suppression. `features`, `filters`: maps and weights.
    `deconvnet`, `guided`: units projected back to pixels. `gradcam`, `occlusion`: what a score depends on.
    `invariance`: the change of maps under shifts. `heatmap`: a classifier over a larger picture. `units`:
    a picture drawn again while one unit of its graphics code moves.
    """
    from neocog.cli.progress import show_download
    from neocog.data.images import read_image
    from neocog.explain.methods import explained, require_suits
    from neocog.explain.subject import Choices, subject_of
    from neocog.predict import load
    from neocog.zoo import known

    known(method, METHODS, "method")
    check_out(out, overwrite=overwrite, reads=[run, image])
    use_threads(threads)
    file = output(json)
    predictor = load(run, find_device(device), "f32", progress=show_download(file))
    require_suits(method, predictor.model.task)
    subject = subject_of(predictor, read_image(image))
    shown = explained(subject, method, Choices(level, unit, label, conf))
    prepare_out(out, overwrite=overwrite)
    records: list[dict[str, Any]] = []
    for number, one in enumerate(shown, 1):
        name = _file_name(number, one)
        _save(one.picture, out / name)
        records.append({"name": one.name, "caption": one.caption, **one.record, "drawn": name})
        print(f"{number} {_title(one)}: {one.caption}", file=file)
    document = {
        "model": str(run),
        "source": str(image),
        "method": method,
        "conf": conf,
        "stages" if method == "stages" else "pictures": records,
    }
    write_atomic(out / "explanation.json", as_json(document))
    write_atomic(out / "index.html", _index(method, run, image, shown))
    if method == "stages":
        _save(_sheet(shown), out / "stages.png")
    write_json(document, json)
    print(f"pictures: {out / 'index.html'} has all {len(shown)}; each lies beside it", file=file)


def _sheet(shown: list[Shown]) -> Image:
    """Every picture under its title."""
    from neocog.pictures.stages import sheet

    numbered = enumerate(shown, 1)
    return sheet(
        [(f"{n} {_title(one)}", one.picture) for n, one in numbered if not isinstance(one.picture, str)]
    )


def _title(shown: Shown) -> str:
    """Its name, and of a stage how many boxes it has."""
    count = shown.record.get("boxes")
    return shown.name if count is None else f"{shown.name}, {count}"


def _file_name(number: int, shown: Shown) -> str:
    """Such as `03-map-1.png`; characters that a file system may refuse become dashes."""
    safe = re.sub(r"[^\w.-]+", "-", shown.name).strip("-.") or "picture"
    return f"{number:02d}-{safe[:60]}.{'svg' if isinstance(shown.picture, str) else 'png'}"


def _index(method: str, run: Path, image: Path, shown: list[Shown]) -> str:
    """One page with every picture over its caption."""
    from neocog.pictures.report import Page

    page = Page(f"{method} of {image.name}", f"The model in {run}.")
    for number, one in enumerate(shown, 1):
        page.heading(f"{number} {_title(one)}").figure(one.picture, one.name, one.caption)
    return page.render()


def _save(picture: Image | str, path: Path) -> None:
    if isinstance(picture, str):
        data = picture.encode()
    else:
        encoded = io.BytesIO()
        picture.save(encoded, "PNG")
        data = encoded.getvalue()
    with disk_errors(path):
        path.write_bytes(data)
