"""Do the tests see what they are for? Each promise is broken on purpose, and some test has to notice.

    python -m tests.mutants            all of them, one after another (a few minutes)
    python -m tests.mutants NAME...    some

A mutant is the package with one place changed. It lies in a temporary folder that comes first on the module
path, so nothing of the working tree is touched. Prints a line a mutant; the exit code is 1 if one survives.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "neocog"


@dataclass(frozen=True)
class Mutant:
    """One change, and the tests that are to turn red under it."""

    promise: str
    file: str
    old: str
    new: str
    tests: str

    def text(self) -> str:
        """The file with the change made. Raises ValueError unless there is exactly one place for it."""
        text = (SOURCE / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.file}: {text.count(self.old)} places read {self.old!r}, not one")
        return text.replace(self.old, self.new)


MUTANTS = {
    "no-fsync": Mutant(
        "a file is on the disk before it takes its name",
        "files.py",
        "        os.fsync(file.fileno())\n    reached(",
        "    reached(",
        "tests/test_files.py tests/test_checkpoint.py",
    ),
    "no-hash": Mutant(
        "a checkpoint with one flipped bit is refused",
        "checkpoint.py",
        "if digest(data) != sha256:",
        "if False:",
        "tests/test_checkpoint.py",
    ),
    "stream-restarts": Mutant(
        "a resumed run goes on where the stream of pictures was",
        "run.py",
        "start_step=self.training.step,",
        "start_step=0,",
        "tests/test_kills.py",
    ),
    "optimizer-forgotten": Mutant(
        "a resumed run has the optimizer's moments",
        "run_folder.py",
        'restore_optimizer(training.optimizer, tensors["optimizer"], state["optimizer"])',
        "pass",
        "tests/test_kills.py",
    ),
    "average-forgotten": Mutant(
        "a resumed run has the averaged weights",
        "run_folder.py",
        'value.copy_(tensors["ema"][name])',
        "pass",
        "tests/test_kills.py",
    ),
    "log-not-cut": Mutant(
        "the log of a resumed run has no step twice",
        "run.py",
        "self.metrics.cut(self.training.step)",
        "pass",
        "tests/test_run.py",
    ),
    "nan-passed": Mutant(
        "a number that is not finite stops the run before the weights change",
        "train.py",
        "if training.is_sound(total + norm):",
        "if True:",
        "tests/test_train.py",
    ),
    "nan-saved": Mutant(
        "weights that are not finite are never saved",
        "checkpoint.py",
        "        if broken is not None:\n            raise NumbersError",
        "        if False:\n            raise NumbersError",
        "tests/test_checkpoint.py",
    ),
    "exif-skipped": Mutant(
        "a picture is read upright",
        "data/images.py",
        'return pixels if header.format == "TIFF" else turned(pixels, header.orientation)',
        "return pixels",
        "tests/data/test_images.py",
    ),
    "sides-swapped": Mutant(
        "width and height keep their places",
        "data/judge.py",
        "limits = sizes[:, [1, 0, 1, 0]]",
        "limits = sizes[:, [0, 1, 0, 1]]",
        "tests/data/test_judge.py tests/data/test_voc.py",
    ),
    "pixel-limit-dropped": Mutant(
        "a decompression bomb is refused before it is decoded",
        "data/images.py",
        "if pixels > MOST_PIXELS:",
        "if False:",
        "tests/data/test_images.py",
    ),
    "inverted-passed": Mutant(
        "an inverted box is told as one, not turned round",
        "data/judge.py",
        "verdicts[(safe[:, 2:] < safe[:, :2]).any(axis=1)] = INVERTED",
        "pass",
        "tests/data/test_judge.py tests/data/test_voc.py",
    ),
    "boxes-not-moved": Mutant(
        "boxes follow the picture's geometry",
        "transforms/geometry.py",
        "target=None if target is None else _follow(target, moved, min_visible, centred),",
        "target=target,",
        "tests/transforms",
    ),
    "difficult-counted": Mutant(
        "finding a difficult object is neither right nor wrong",
        "metrics/voc.py",
        "counts[reached] = ~objects.ignore[target[reached]]",
        "pass",
        "tests/metrics",
    ),
    "faults-uncounted": Mutant(
        "a picture that cannot be read is counted",
        "data/loader.py",
        "self.faulty.setdefault(index, message)",
        "pass",
        "tests/data/test_loader.py",
    ),
    "stage-forgotten": Mutant(
        "a run that is resumed in a later stage goes on in that stage",
        "run_folder.py",
        "training.course.enter(stage)",
        "pass",
        "tests/test_stages.py",
    ),
    "all-learns": Mutant(
        "a stage changes only the parts that are to learn in it",
        "parts/stages.py",
        "parameters[name].requires_grad_(id(parameters[name]) in learning)",
        "parameters[name].requires_grad_(True)",
        "tests/test_stages.py",
    ),
    "proposals-not-moved": Mutant(
        "proposals follow the picture's geometry",
        "transforms/geometry.py",
        "proposals=None if sample.proposals is None else _follow_proposals(sample.proposals, moved),",
        "proposals=sample.proposals,",
        "tests/data/test_proposed.py",
    ),
    "damage-believed": Mutant(
        "a damaged file of proposals is made anew",
        "data/proposed.py",
        "if hashlib.sha256(content).digest() != document[:_DIGEST] or len(content) % 20:",
        "if len(content) % 20:",
        "tests/data/test_proposed.py",
    ),
    "draws-by-worker": Mutant(
        "random draws depend on the sample, not on who reads it",
        "ops/rng.py",
        "zlib.crc32(operation.encode())",
        "zlib.crc32(operation.encode()), __import__('os').getpid()",
        "tests/data/test_loader.py",
    ),
}


def kill(name: str) -> bool:
    """Whether a test turns red under this mutant. Raises RuntimeError if the tests could not run."""
    mutant = MUTANTS[name]
    text = mutant.text()
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "neocog"
        shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("__pycache__"))
        (package / mutant.file).write_text(text, encoding="utf-8")
        options = ["-x", "-q", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", *options, *mutant.tests.split()]
        path = os.pathsep.join([folder, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        raise RuntimeError(f"{name}: pytest gave {done.returncode}\n{said}")
    told = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    print(f"{name:20} {told[0] if told else 'SURVIVES: ' + mutant.promise}", flush=True)
    return done.returncode == 1


def main(names: list[str]) -> int:
    wanted = names or list(MUTANTS)
    unknown = [name for name in wanted if name not in MUTANTS]
    if unknown:
        print(f"no mutant {', '.join(unknown)}; there are {', '.join(MUTANTS)}", file=sys.stderr)
        return 2
    killed = sum(kill(name) for name in wanted)
    print(f"{killed} of {len(wanted)} mutants turn a test red")
    return 0 if killed == len(wanted) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
