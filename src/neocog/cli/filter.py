"""`neocog filter`: a picture under a kernel, as a picture."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from neocog.cli.common import JsonOption, check_file, output, write_json
from neocog.errors import UsageError
from neocog.files import make_folder, write_atomic

if TYPE_CHECKING:
    import numpy as np

SHOWN = ("auto", "clip", "signed", "absolute")

EXAMPLE = 'Example: neocog filter photo.jpg --kernel "0 -1 0; -1 5 -1; 0 -1 0" --out sharper.png'


def filter(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    kernel: Annotated[
        str,
        typer.Option(
            "--kernel",
            metavar="NAME|TEXT",
            help="sobel-x, 'gaussian 2.5' (a name and its numbers), or rows: '0 -1 0; -1 5 -1; 0 -1 0'.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="The picture to write, exactly.")],
    stride: Annotated[
        int, typer.Option("--stride", min=1, metavar="N", help="Keep every N-th row and column.")
    ] = 1,
    padding: Annotated[
        str,
        typer.Option(
            "--padding",
            metavar="NAME",
            help="Beyond the edge: zero, reflect, replicate, circular; none: only where the kernel fits.",
        ),
    ] = "reflect",
    dilation: Annotated[
        int, typer.Option("--dilation", min=1, metavar="N", help="Spread the weights to every N-th pixel.")
    ] = 1,
    correlate: Annotated[
        bool, typer.Option("--correlate", help="Do not flip the kernel, as the layers of a CNN.")
    ] = False,
    show: Annotated[
        str,
        typer.Option(
            "--show",
            metavar="NAME",
            help="clip: values as they are, from 0 to 255. signed: 0 is grey. absolute: 0 is black, signs "
            "are dropped. auto: signed if the weights add up to 0, else clip.",
        ),
    ] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")] = False,
    json: JsonOption = None,
) -> None:
    """Convolve a picture with a kernel, channel by channel."""
    from neocog.data.images import read_image
    from neocog.ops.filter import filter_image
    from neocog.ops.kernels import read_kernel
    from neocog.ops.names import named

    _check_out(out, image, overwrite)
    try:
        named(dict.fromkeys(SHOWN), show, "--show")
        weights = read_kernel(kernel)
        pixels = read_image(image)
        values = filter_image(
            pixels[..., 0] if (pixels == pixels[..., :1]).all() else pixels,
            weights,
            stride=stride,
            padding=padding,  # type: ignore[arg-type]  # an unknown name is told of
            dilation=dilation,
            correlate=correlate,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    drawn, scale = picture(values, _way(show, weights))
    _save(drawn, out)
    record = {
        "source": str(image),
        "kernel": kernel,
        "weights": weights.tolist(),
        **_cost(weights),
        "size": [drawn.shape[1], drawn.shape[0]],
        "least": float(values.min()),
        "largest": float(values.max()),
        "shown": scale,
        "drawn": str(out),
    }
    _tell(record, pixels, drawn, file=output(json))
    write_json(record, json)


def picture(values: np.ndarray, way: str) -> tuple[np.ndarray, str]:
    """Filtered pixels as a picture uint8 of their shape, and what its levels mean.

    `way` is `clip`, `signed` or `absolute`. Of the last two the scale is the picture's own: its largest value
    but for a thousandth becomes white.
    """
    import numpy as np

    from neocog.pictures.maps import signed_rgb

    if way == "clip":
        return values.round().clip(0, 255).astype(np.uint8), "clipped to 0..255"
    limit = float(np.quantile(np.abs(values), 0.999)) or 1.0
    if way == "signed":
        return signed_rgb(values, limit), f"signed, black {-limit:.4g}, grey 0, white {limit:.4g}"
    scaled = (np.abs(values) * (255 / limit)).round().clip(0, 255).astype(np.uint8)
    return scaled, f"absolute, black 0, white {limit:.4g}"


def _way(show: str, weights: np.ndarray) -> str:
    """How to show what these weights give, if that is left to us: a sum of 0 answers to differences alone."""
    if show != "auto":
        return show
    return "signed" if abs(weights.sum()) < 0.01 * abs(weights).sum() else "clip"


def _cost(weights: np.ndarray) -> dict[str, Any]:
    """Whether a kernel is separable, and how many multiplications a pixel it takes."""
    from neocog.ops.filter import passes
    from neocog.ops.kernels import separate

    pairs = len(passes(weights))
    taken = pairs * sum(weights.shape) if pairs else weights.size
    return {"separable": len(separate(weights)) == 1, "pairs": pairs, "multiplications": taken}


def _tell(record: dict[str, Any], pixels: np.ndarray, drawn: np.ndarray, file: TextIO) -> None:
    height, width = len(record["weights"]), len(record["weights"][0])
    how = {0: "as it is", 1: "as a column and a row"}.get(
        record["pairs"], f"as {record['pairs']} columns and rows"
    )
    print(
        f"kernel: {record['kernel']}, {height} x {width}, {'' if record['separable'] else 'not '}separable; "
        f"applied {how}, {record['multiplications']} multiplications a pixel",
        file=file,
    )
    print(
        f"size: {pixels.shape[1]} x {pixels.shape[0]} -> {drawn.shape[1]} x {drawn.shape[0]}, "
        f"{'in colour' if drawn.ndim == 3 else 'grey'}",
        file=file,
    )
    print(f"values: {record['least']:.4g} to {record['largest']:.4g}, {record['shown']}", file=file)
    print(f"picture: {record['drawn']}", file=file)


def _check_out(out: Path, image: Path, overwrite: bool) -> None:
    """Raise UsageError unless `--out` may be written."""
    if os.path.realpath(out) == os.path.realpath(image):
        raise UsageError(f"--out {out}: is to be read; give another name")
    check_file("--out", out, ".png", overwrite=overwrite)


def _save(drawn: np.ndarray, out: Path) -> None:
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(drawn).save(encoded, "PNG")
    make_folder(out.parent)
    write_atomic(out, encoded.getvalue())
