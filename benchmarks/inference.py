"""Prediction by ours and by torchvision, with the same weights: `python benchmarks/inference.py`.

A row is a network, a column is who runs it, one picture at a time. Every side starts from the same pixels in
[0, 1], in memory, and ends with its answer: class scores, or detections after suppression. First ours is
checked to say the same as torchvision's. Then all take turns; the table gives medians of what lasts: ours
hands its graph to oneDNN in the first rounds, which do not count, and not after a hundred pictures. With one
thread they are of processor time, which neighbours on the machine disturb least, otherwise of wall-clock
time. Ratio: torchvision in f32 / this side.

Needs torchvision beside torch. ONNX Runtime, OpenVINO and OpenCV join in where they are installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault(
    "THP_MEM_ALLOC_ENABLE", "1"
)  # huge pages, for all sides: so starts the `neocog` command

import torch
from torch import Tensor

try:
    from inference_cases import CASES, Case, normalised, picture
except ImportError as error:
    print(f"benchmarks/inference.py needs torchvision beside torch, to compare with ({error})")
    sys.exit(2)

from neocog import recorded
from neocog.errors import NeocogError
from neocog.predict import Predictor
from neocog.types import Batch, Frame, SampleKey

Answer = dict[str, Tensor]
"""`scores`, and of a detector `boxes` and `labels` too; of a segmenter `classes`."""

Side = Callable[[], Any]

UNCOUNTED = 3
"""Rounds before the first that counts."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=7, help="at least 5")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recorded.OFTEN = 1
    where = torch.device(options.device)
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else f"{options.threads} threads"
    print(
        f"torch {torch.__version__}, {name}; ms a picture, and how many times faster than torchvision in f32"
    )
    for case in CASES:
        if options.only in case.name:
            with tempfile.TemporaryDirectory() as folder:
                run_case(case, where, options, Path(folder))


def run_case(case: Case, device: torch.device, options: argparse.Namespace, folder: Path) -> None:
    image = picture(case.size)
    theirs, ours = (one.to(device) for one in case.build(image))
    image = image.to(device)
    classes = [str(number) for number in range(getattr(ours, "classes", 0))]
    f32, bf16 = (Predictor(ours, classes, case.size, precision=name) for name in ("f32", "bf16"))
    sides: dict[str, Side] = {
        "torchvision": lambda: of_torchvision(theirs, image, case),
        "neocog": lambda: of_neocog(f32, image),
        "neocog bf16": lambda: of_neocog(bf16, image),
    }
    if device.type == "cuda":
        sides["torchvision bf16"] = lambda: autocast(theirs, image, case)
    else:
        sides |= other_runtimes(f32, image, folder, options.threads)
    torch.backends.cudnn.allow_tf32 = False  # while they are compared
    note = agreement(sides["torchvision"](), sides["neocog"]())
    torch.backends.cudnn.allow_tf32 = True  # torch's default
    medians = take_turns(sides, options.turns, clock_of(device))
    base = medians["torchvision"]
    cells = [f"{side} {ms:.1f} (x{base / ms:.2f})" for side, ms in medians.items()]
    print(f"{case.name:30} {', '.join(cells)}; {note}", flush=True)


@torch.inference_mode()
def of_torchvision(model: Any, image: Tensor, case: Case) -> Answer:
    if case.normalises:
        found: Answer = model([image[0]])[0]
        return found
    result = model(normalised(image))
    if isinstance(result, dict):  # a segmenter
        return {"classes": result["out"][0].max(dim=0).indices}  # faster than argmax
    return {"scores": result.softmax(1)[0]}


def autocast(model: Any, image: Tensor, case: Case) -> Answer:
    with torch.autocast(image.device.type, torch.bfloat16):
        return of_torchvision(model, image, case)


def of_neocog(predictor: Predictor, image: Tensor) -> Answer:
    answer = predictor.run(batch_of(image))[0][0]
    if hasattr(answer, "boxes"):
        return {"boxes": answer.boxes, "scores": answer.scores, "labels": answer.labels + 1}
    if answer.scores.ndim == 3:
        return {"classes": answer.labels}
    return {"scores": answer.scores}


def other_runtimes(predictor: Predictor, image: Tensor, folder: Path, threads: int) -> dict[str, Side]:
    """Our exported file in ONNX Runtime and OpenVINO, both in f32, and in OpenCV where that can read it."""
    try:
        from neocog.export.model import export_model
        from neocog.export.reader import Exported

        seen = [(image[0].permute(1, 2, 0) * 255).to(torch.uint8).contiguous().numpy()]
        for name, file in (("onnx", "model.onnx"), ("openvino", "model.xml")):
            export_model(predictor, folder / file, seen, format=name, threads=threads)
    except (ImportError, NeocogError) as error:
        print(f"  no other runtimes: {error}", file=sys.stderr)
        return {}
    onnx, openvino = (Exported(folder / file, threads) for file in ("model.onnx", "model.xml"))
    batch = batch_of(image)
    sides: dict[str, Side] = {
        "ONNX Runtime": lambda: onnx.answers(batch),
        "OpenVINO": lambda: openvino.answers(batch),
    }
    try:
        import cv2

        cv2.setNumThreads(threads)
        network = cv2.dnn.readNetFromONNX(str(folder / "model.onnx"))
        pixels = image.numpy()

        def of_opencv() -> Any:
            network.setInput(pixels)
            return network.forward()

        of_opencv()
    except Exception as error:  # it is not there, or does not know an operator
        print(f"  OpenCV: {str(error).strip().splitlines()[-1][:120]}", file=sys.stderr)
    else:
        sides["OpenCV"] = of_opencv
    return sides


def batch_of(image: Tensor) -> Batch:
    size = (image.shape[2], image.shape[3])
    pixels = image.contiguous(memory_format=torch.channels_last)
    return Batch(pixels, (size,), None, (Frame(size, size),), (SampleKey(0, 0, 0),))


def agreement(theirs: Answer, ours: Answer) -> str:
    """What is the same, in words; ends the program where it is not."""
    theirs = {name: value.cpu() for name, value in theirs.items()}
    if "classes" in theirs:
        other = float((theirs["classes"] != ours["classes"]).float().mean())
        require(other < 1e-4, f"{other:.2%} of the pixels have another class")
        return f"classes differ in {other:.4%} of the pixels"
    if "boxes" not in theirs:
        error = float((theirs["scores"] - ours["scores"]).abs().max())
        require(error < 1e-4, f"scores differ by {error}")
        return f"scores to {error:.0e}"
    left = torch.ones(len(ours["boxes"]), dtype=torch.bool)
    for box, score, label in zip(theirs["boxes"], theirs["scores"], theirs["labels"], strict=True):
        same = left & (ours["labels"] == label) & ((ours["scores"] - score).abs() < 1e-4)
        same &= (ours["boxes"] - box).abs().amax(dim=1) < 0.01
        left[same.nonzero()[:1]] = False
    missing, count = int(left.sum()), len(theirs["boxes"])
    require(
        len(left) == count and missing == 0,
        f"{missing} of {len(left)} detections are not torchvision's {count}",
    )
    return f"all {count} detections equal"


def require(same: bool, otherwise: str) -> None:
    if not same:
        sys.exit(f"benchmarks/inference.py: {otherwise}")


def take_turns(sides: dict[str, Side], turns: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median milliseconds of each side; the first rounds do not count."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns + UNCOUNTED):
        for name, side in sides.items():
            began = clock()
            side()
            if turn >= UNCOUNTED:
                times[name].append(clock() - began)
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def clock_of(device: torch.device) -> Callable[[], float]:
    if device.type == "cuda":

        def after_all() -> float:
            torch.cuda.synchronize(device)
            return time.perf_counter()

        return after_all
    return time.process_time if torch.get_num_threads() == 1 else time.perf_counter


if __name__ == "__main__":
    main()
