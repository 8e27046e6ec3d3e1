"""`neocog doctor`: what this machine offers, and whether each rung of the library works on it."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import typer

from neocog.cli.common import (
    DeviceOption,
    JsonOption,
    ThreadsOption,
    find_device,
    output,
    print_table,
    use_threads,
    write_json,
)

if TYPE_CHECKING:
    import torch

EXAMPLE = "Example: neocog doctor --device cpu --json report.json"

_PACKAGES = (
    *("torch", "numpy", "numba", "scipy", "scikit-learn", "faster-coco-eval", "pillow", "safetensors"),
    *("typer", "rich", "pydantic", "PyYAML", "matplotlib"),
)


@dataclass(frozen=True)
class Finding:
    """How one self-test went."""

    name: str
    ok: bool
    ms: float
    message: str  # empty when it went well


def doctor(json: JsonOption = None, threads: ThreadsOption = None, device: DeviceOption = "auto") -> None:
    """Show versions and devices, and test every rung once.

    Exit code 1 when a test fails.
    """
    use_threads(threads)
    chosen = find_device(device)
    facts = machine()
    file = output(json)
    print_table(("machine", ""), [(name, _text(value)) for name, value in facts.items()], file=file)
    print(file=file)
    findings = [examine(name, test, chosen) for name, test in self_tests().items()]
    rows = [(one.name, "ok" if one.ok else "failed", one.ms, one.message) for one in findings]
    print_table((f"self-test on {chosen}", "result", "ms", ""), rows, file=file)
    write_json({"machine": facts, "device": str(chosen), "checks": [asdict(one) for one in findings]}, json)
    if not all(one.ok for one in findings):
        raise typer.Exit(1)


def machine() -> dict[str, Any]:
    """Versions, threads and devices, by name."""
    import torch

    from neocog.precision import supports_bf16
    from neocog.version import __version__

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "neocog": __version__,
        "python": f"{platform.python_version()} ({sys.platform}, {platform.machine()})",
        **{name: version(name) for name in _PACKAGES},
        "cores usable": usable,
        "torch threads": torch.get_num_threads(),
        "CPU vector unit": torch.backends.cpu.get_cpu_capability(),
        "bf16 in hardware": supports_bf16(torch.device("cpu")),
        "devices": ["cpu", *(_gpu(number) for number in range(torch.cuda.device_count()))],
    }


def _gpu(number: int) -> str:
    import torch

    facts = torch.cuda.get_device_properties(number)
    return f"cuda:{number} ({facts.name}, {facts.total_memory / 2**30:.0f} GiB)"


def _text(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value


def examine(name: str, test: Callable[[torch.device], str], device: torch.device) -> Finding:
    """Run one self-test: it returns what is wrong, or nothing."""
    began = time.perf_counter()
    try:
        message = test(device)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
    return Finding(name, not message, (time.perf_counter() - began) * 1e3, " ".join(message.split()))


def self_tests() -> dict[str, Callable[[torch.device], str]]:
    """The self-tests by name, lowest rung first."""
    from neocog.zoo import MODELS

    tests: dict[str, Callable[[torch.device], str]] = {
        "non-maximum suppression": _test_nms,
        "RoI align": _test_roi_align,
        "scenes": _test_scenes,
    }
    return tests | {name: _model_test(name) for name in MODELS}


def _test_nms(device: torch.device) -> str:
    """Of two boxes with IoU 0.9 the better stays, and a third far away."""
    import torch

    from neocog.ops.nms import nms

    boxes = torch.tensor([[0, 0, 10, 9], [0, 0, 10, 10], [20, 20, 30, 30]], dtype=torch.float32)
    keep = nms(boxes.to(device), torch.tensor([0.8, 0.9, 0.7], device=device), 0.5).tolist()
    return "" if keep == [1, 2] else f"kept {keep}, not [1, 2]"


def _test_roi_align(device: torch.device) -> str:
    """On a map whose value is its x, every bin's average is the x of the bin's centre."""
    import torch

    from neocog.ops.roi import roi_align

    ramp = (torch.arange(16.0, device=device) + 0.5).expand(1, 1, 16, 16)
    box = torch.tensor([[3.0, 4.0, 11.0, 12.0]], device=device)
    index = torch.zeros(1, dtype=torch.int64, device=device)
    row = roi_align(ramp.contiguous(), box, index, (4, 4), 1.0)[0, 0, 0].tolist()
    wrong = max(abs(have - want) for have, want in zip(row, (4.0, 6.0, 8.0, 10.0), strict=True))
    return "" if wrong < 1e-4 else f"{wrong:.2g} away from the ramp"


def _test_scenes(device: torch.device) -> str:
    """The same scene twice is the same picture, with its objects inside."""
    from neocog.data.scenes import Scenes

    first, again = Scenes(count=1)[0], Scenes(count=1)[0]
    if first.target is None or not len(first.target):
        return "a scene without objects"
    return "" if (first.image == again.image).all() else "the same scene, drawn twice, differs"


def _model_test(name: str) -> Callable[[torch.device], str]:
    """One picture through a small model with fresh weights, forward and decode."""

    def test(device: torch.device) -> str:
        import torch

        from neocog.types import Task, blank_batch
        from neocog.zoo import MODELS, create, usual_side

        entry = MODELS[name]
        side = min(usual_side(name, entry.backbones[0]), 128)
        model: Any = create(name, classes=3, side=side).to(device).eval()
        any_size = entry.task in (Task.DETECT, Task.SEGMENT)
        blank = blank_batch((96, 128) if any_size else (side, side), regions=3)
        noise = torch.rand(blank.images.shape, generator=torch.Generator().manual_seed(0))
        batch = replace(blank, images=noise).to(device)
        with torch.inference_mode():
            found = model.decode(model(batch), batch)
        return "" if len(found) == 1 else f"{len(found)} results for one picture"

    return test
