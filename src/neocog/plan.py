"""What a run is to do: its options, and the defaults that suit a model and a data set."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from neocog.data.dataset import Dataset
from neocog.data.digits import Digits
from neocog.data.open import open_data
from neocog.data.scenes import Scenes
from neocog.defaults import BACKBONES
from neocog.distributed.peers import ALONE, Peers
from neocog.errors import DeviceError, UsageError
from neocog.train import TrainOptions
from neocog.transforms.colour import ColourJitter
from neocog.transforms.geometry import Affine, Geometry
from neocog.transforms.patches import MEAN
from neocog.transforms.recipes import Recipe, training_recipe
from neocog.transforms.warp import BLACK, GREY, Size
from neocog.types import Task
from neocog.zoo import MODELS, known, resized, usual_side


@dataclass(frozen=True)
class Augmentation:
    """What training pictures go through, each with its own keyed randomness."""

    flip: bool = True
    vertical_flip: bool = False
    scale: tuple[float, float] | None = (0.8, 1.35)
    colour: bool = True
    patches: bool = False  # learn from patches of the pictures, as SSD does
    zoom_out: float = 1.0  # the largest canvas that a picture is first put on, in its own sides
    rotation: float = 0.0  # degrees, at most, either way
    translation: float = 0.0  # share of the picture's sides, at most, either way
    dark: bool = False  # whether what is laid bare is black, as behind written characters, and not grey

    def recipe(self, size: Size | Geometry) -> Recipe:
        return training_recipe(
            size,
            flip=self.flip,
            vertical_flip=self.vertical_flip,
            scale=self.scale,
            colour=ColourJitter() if self.colour else None,
            zoom_out=self.zoom_out,
            patches=self.patches,
            affine=Affine(self.rotation, 0.0, self.translation)
            if self.rotation or self.translation
            else None,
            fill=BLACK if self.dark else MEAN if self.zoom_out > 1 else GREY,
        )


@dataclass(frozen=True)
class RunOptions:
    """Everything that decides what a run does; stored in `run.json`, and compared on `--resume`."""

    model: str
    backbone: str
    data: str
    size: tuple[int, int]  # (height, width) that pictures are fitted into, pixels
    train_split: str
    val_split: str | None
    weights: str | None  # "imagenet" or a file: of the backbone; "coco": of all; None: fresh ones
    training: TrainOptions
    augmentation: Augmentation
    options: Any  # the model's own option dataclass
    pretrain: float = 0.0  # share of the budget in which the backbone learns from crops alone
    validations: int = 5  # evenly over the last stage of the budget; the last one at its end
    ignore_label: int | None = None  # a value of masks that means: ignored
    main: str = "largest"  # which object of several a picture is of: the largest, or the only one of a class

    def __post_init__(self) -> None:
        if not 0 <= self.pretrain < 1:
            raise UsageError(f"--pretrain must lie in [0, 1), not {self.pretrain:g}")
        if self.pretrain and MODELS[self.model].task not in _WITH_OBJECTS:
            raise UsageError(f"--pretrain learns from crops of objects, which {self.model} is not given")

    def recipes(self) -> tuple[Recipe, ...]:
        """What training pictures go through, as the model wants them resized: one for each of its sizes."""
        sizes = MODELS[self.model].sizes(self.options, self.size)
        return tuple(self.augmentation.recipe(resized(self.options, size)) for size in sizes)


@dataclass(frozen=True)
class Machine:
    """Where and how a run works; none of it changes the weights on a CPU with a step budget."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = 1
    save_seconds: float = 60.0  # between checkpoints
    save_steps: int | None = None  # a checkpoint every so many steps, besides
    strict: bool = False  # stop at the first fault in the data
    peers: Peers = ALONE  # the processes that share the work; the first of them writes
    proposals: Path | None = None  # where proposals are kept; None: in the run's folder


def open_split(options: RunOptions, split: str, strict: bool = False) -> Dataset:
    """One split of a run's data, with the truth that its model needs. Raises DataError."""
    return open_data(
        options.data,
        split,
        strict=strict,
        task=MODELS[options.model].task,
        ignore_label=options.ignore_label,
        main=options.main,
    )


def default_size(model: str, backbone: str, data: Dataset) -> tuple[int, int]:
    """The usual size of the model on this backbone, or less where the pictures themselves are smaller.

    But not less than the backbone reads.
    """
    longer = median(max(data.size(index)) for index in range(min(len(data), 200)))
    own = max(32 * -(-int(longer) // 32), BACKBONES[backbone].least)
    side = min(usual_side(model, backbone), own)
    return side, side


def default_training(model: str, backbone: str, size: tuple[int, int], given: dict[str, Any]) -> TrainOptions:
    """Training options that suit a model, its backbone and a picture size; `given` overrides.

    `compact` takes 16 small pictures (up to 192 px) a step or 8 larger ones, and the model's learning rate
    for each of them. Without a budget: 3 minutes.
    """
    entry, whole = BACKBONES[backbone], (Task.CLASSIFY, Task.LOCALIZE)
    defaults = dict(entry.whole if MODELS[model].task in whole else entry.training)
    batch = given.get("batch") or defaults.get("batch") or (16 if max(size) <= 192 else 8)
    defaults = {"batch": batch, "lr": MODELS[model].lr * batch} | defaults | given
    if not any(defaults.get(name) for name in ("steps", "epochs", "minutes")):
        defaults["minutes"] = 3.0
    return TrainOptions(**defaults)


_AS_IT_IS: dict[str, Any] = {"flip": False, "vertical_flip": False, "scale": None, "colour": False}

AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "none": _AS_IT_IS,
    "characters": _AS_IT_IS | {"rotation": 10.0, "translation": 0.08, "dark": True},
    "patches": {"scale": None, "patches": True},
    "zoom-out": {"scale": None, "patches": True, "zoom_out": 4.0},
}
"""Ways to vary training pictures: flips, colours and a zoom about their own size; not at all; as white
characters on black, which a flip would make others of, turned and shifted a little; with SSD's patches for
the zoom; and with patches of pictures that were made up to four times smaller, which takes twice the steps
(section 3.6 of the paper)."""


def default_augmentation(data: Dataset, model: str, name: str | None = None) -> Augmentation:
    """Flips, scale and colour for photographs; generated pictures are only flipped, both ways.

    `name`: one of AUGMENTATIONS; None: the model's own, but `usual` for generated pictures, `characters` for
    the digits, and `none` for IDX files, of which some hold characters and some do not. Raises UsageError for
    a name that does not exist.
    """
    if MODELS[model].task is Task.RECONSTRUCT:  # what is to be given back stays as it is
        return Augmentation(**_AS_IT_IS)
    generated = isinstance(data, Scenes)
    if name is None:
        suited = "usual" if generated else "characters" if isinstance(data, Digits) else None
        name = suited or ("none" if data.format == "idx" else MODELS[model].augment)
    chosen = AUGMENTATIONS[known(name, AUGMENTATIONS, "augmentation")]
    if generated:
        return Augmentation(**{"vertical_flip": True, "scale": None, "colour": False} | chosen)
    return Augmentation(**chosen)


_WITH_OBJECTS = (Task.DETECT, Task.SEGMENT)
"""Tasks whose pictures tell of the objects that crops are cut around."""

PRETRAIN = 0.25
"""Share of the budget for pre-training, where it helps and there are no published weights."""


def default_pretrain(model: str, backbone: str, weights: str | None) -> float:
    """A quarter of the budget for models and backbones that hardly start from nothing; none with weights."""
    helps = MODELS[model].pretrain or BACKBONES[backbone].pretrain
    return PRETRAIN if helps and weights is None and MODELS[model].task in _WITH_OBJECTS else 0.0


def with_seed(options: RunOptions, seed: int) -> RunOptions:
    """The same run with another seed."""
    return replace(options, training=replace(options.training, seed=seed))


def require_memory(options: RunOptions, machine: Machine) -> None:
    """Raise DeviceError where not even the pictures of one step fit: loading them would stall the machine."""
    sizes = MODELS[options.model].sizes(options.options, options.size)
    height, width = max(sizes, key=lambda size: size[0] * size[1])
    pictures = -(-options.training.batch // machine.peers.size)
    needed, there = 12 * pictures * height * width, memory_of(machine.device)
    if there is not None and needed > there:
        raise DeviceError(
            f"{pictures} pictures of {width} x {height} px take {needed / 2**30:.1f} GiB, and there are "
            f"{there / 2**30:.1f} GiB of memory; give a smaller --batch or --size"
        )


def memory_of(device: torch.device) -> int | None:
    """Bytes of memory of a device, used or not; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
