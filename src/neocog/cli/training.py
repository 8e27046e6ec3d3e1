"""What `train` and `compare` share: the options of a run, from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neocog.errors import UsageError

if TYPE_CHECKING:
    from neocog.plan import RunOptions

DataOption = Annotated[
    str, typer.Option("--data", metavar="PATH", help="A data set in any supported format, or scenes[:level].")
]
BackboneOption = Annotated[
    str | None, typer.Option("--backbone", metavar="NAME", help="See `neocog models` (default: compact).")
]
SizeOption = Annotated[
    int | None,
    typer.Option(
        "--size",
        min=32,
        max=16_384,  # what a model may ask for when it is loaded again
        metavar="PX",
        help="Pictures are fitted into PX x PX (default: suits the data).",
    ),
]
BatchOption = Annotated[int | None, typer.Option("--batch", min=1, metavar="N", help="Pictures a step.")]
LrOption = Annotated[float | None, typer.Option("--lr", metavar="X", help="Peak learning rate.")]
OptimizerOption = Annotated[
    str | None,
    typer.Option(
        "--optimizer",
        metavar="muon|adamw|sgd",
        help="What makes steps of gradients (default: muon on compact, else sgd).",
    ),
]
StepsOption = Annotated[int | None, typer.Option("--steps", min=1, metavar="N", help="Budget in steps.")]
EpochsOption = Annotated[float | None, typer.Option("--epochs", metavar="N", help="Budget in epochs.")]
MinutesOption = Annotated[
    float | None, typer.Option("--minutes", metavar="M", help="Budget in minutes of optimisation.")
]
TrainSplitOption = Annotated[str, typer.Option("--train-split", metavar="NAME", help="Split to learn from.")]
ValSplitOption = Annotated[
    str, typer.Option("--val-split", metavar="NAME", help="Split that chooses the best weights, or none.")
]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="imagenet|coco|FILE",
        help="Start the backbone from published weights or a file; with coco, the whole model.",
    ),
]
PretrainOption = Annotated[
    float | None,
    typer.Option(
        "--pretrain",
        min=0,
        max=0.9,
        metavar="SHARE",
        help="Share of the budget in which the backbone first learns to classify crops of the objects "
        "(default: 0.25 for r-cnn, fast-rcnn, vgg16 and darknet without --weights, else 0).",
    ),
]
AugmentOption = Annotated[
    str | None,
    typer.Option(
        "--augment",
        metavar="usual|none|characters|patches|zoom-out",
        help="How training pictures are varied: flips, colours and a zoom about their own size; not at all; "
        "as white characters on black, turned and shifted a little; with SSD's patches for a zoom; or with "
        "patches of pictures made smaller first (default: what suits data and model).",
    ),
]
IgnoreLabelOption = Annotated[
    int | None,
    typer.Option(
        "--ignore-label", min=0, max=65_535, metavar="N", help="A value of masks that means: ignored."
    ),
]
MainOption = Annotated[
    str,
    typer.Option(
        "--main",
        metavar="largest|CLASS",
        help="Of pictures with several objects, for one label or box: the largest object, or only pictures "
        "with exactly one object of a class.",
    ),
]
WorkersOption = Annotated[
    int, typer.Option("--workers", min=0, max=256, metavar="N", help="Loader processes.")
]
SkipOption = Annotated[
    int,
    typer.Option(
        "--skip-bad-steps",
        min=0,
        max=3,
        metavar="N",
        help="Leave out up to N steps in a row whose loss or gradient is not finite.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="An option of the model, such as rpn.nms=0.6 (repeatable)."
    ),
]
PublishedOption = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="imagenet|coco|FILE",
        help="RUN names a model, such as ssd: use its published weights, fetched once, or their FILE.",
    ),
]
OutOption = Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write, exactly.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing run.")]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with what --out holds: nothing is done twice.")
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Stop at the first fault in the data.")]


TestSetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change an option of the model for this test, such as regions.nms=0.4 (repeatable).",
    ),
]


def run_options(
    model: str,
    data: str,
    *,
    backbone: str | None,
    size: int | None,
    train_split: str,
    val_split: str,
    weights: str | None,
    settings: list[str] | None,
    given: dict[str, Any],
    pretrain: float | None = None,
    augment: str | None = None,
    ignore_label: int | None = None,
    main: str = "largest",
) -> RunOptions:
    """Complete the options of a run: what was not given gets the default that suits model and data."""
    from neocog.cli.settings import apply_settings
    from neocog.data.open import open_data
    from neocog.plan import (
        RunOptions,
        default_augmentation,
        default_pretrain,
        default_size,
        default_training,
    )
    from neocog.published import TRAINED, published_name
    from neocog.zoo import MODELS, known

    entry = MODELS[known(model, MODELS, "model")]
    published = TRAINED[published_name(model, weights)] if weights == "coco" else None
    usual = entry.backbones[0] if published is None else published.backbone
    backbone = known(backbone or usual, entry.backbones, f"backbone of {model}")
    opened = open_data(data, train_split, task=entry.task, ignore_label=ignore_label, main=main)
    if published is None:
        fitted = default_size(model, backbone, opened) if size is None else (size, size)
        own = entry.options(backbone, max(fitted))
    else:
        fitted, own = published.size if size is None else (size, size), published.options
        if backbone != usual or getattr(own, "side", max(fitted)) != max(fitted):
            raise UsageError(
                f"--weights coco: of {model} on {usual} at {max(published.size)} px; give no other"
            )
    own = apply_settings(own, settings or [])
    return RunOptions(
        model=model,
        backbone=backbone,
        data=data,
        size=fitted,
        train_split=train_split,
        val_split=None if val_split == "none" else val_split,
        weights=weights,
        ignore_label=ignore_label,
        main=main,
        training=default_training(model, backbone, fitted, {k: v for k, v in given.items() if v is not None}),
        augmentation=default_augmentation(opened, model, augment),
        pretrain=default_pretrain(model, backbone, weights) if pretrain is None else pretrain,
        options=entry.suit(own, opened.classes, opened, fitted),
    )


def describe(options: RunOptions) -> str:
    """What a run will do, in one line."""
    training = options.training
    budget = next(
        f"{getattr(training, name):g} {name}"
        for name in ("steps", "epochs", "minutes")
        if getattr(training, name) is not None
    )
    first = f" ({options.pretrain:.0%} of it pre-training on crops)" if options.pretrain else ""
    return (
        f"{options.model} on {options.backbone}, {options.size[1]} px, batch {training.batch}, "
        f"{training.optimizer} at {training.lr:g}, {budget}{first}, seed {training.seed}"
    )
