"""What a run trains: the network alone, or the stages that lead to it; and what follows the last of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from neocog.data.dataset import Dataset
from neocog.data.packing import collate
from neocog.defaults import BACKBONES
from neocog.errors import DataError
from neocog.parts.pretrain import CropClassifier
from neocog.parts.stages import Course, Stage
from neocog.plan import RunOptions
from neocog.predict import padding_of
from neocog.showing import spaced
from neocog.train import Training
from neocog.transforms.recipes import evaluation_recipe
from neocog.types import Batch
from neocog.zoo import MODELS, Detector


def build_course(model: Detector, options: RunOptions) -> nn.Module:
    """The model itself where all of its training is one stage; otherwise a `Course` around it.

    With `options.pretrain`, that share of the budget goes to a stage in which the backbone learns to classify
    crops, before all others.
    """
    assert isinstance(model, nn.Module)
    entry, share = BACKBONES[options.backbone], options.pretrain
    stages, aside = MODELS[options.model].stages(model)
    if share:
        backbone = model.backbone
        scores = nn.Linear(backbone.channels[entry.crop_level], model.classes + 1)
        crops = CropClassifier(backbone, entry.crop_level, scores, entry.crop, entry.context)
        first = Stage("pretrain", share, crops.forward, crops.loss, (backbone, scores))
        stages = first, *(replace(stage, share=stage.share * (1 - share)) for stage in stages)
        aside = {"crops": scores, **aside}
    return model if len(stages) == 1 else Course(model, stages, aside)


def warm_up(model: Any, batch: Batch) -> None:
    """One step of every stage, without its update: kernels compile. `model` is spoilt by it."""
    model.train()
    for number in range(len(model.stages) if isinstance(model, Course) else 1):
        if isinstance(model, Course):
            model.enter(number)
        torch.stack(list(model.loss(model(batch), batch).values())).sum().backward()  # type: ignore[no-untyped-call]


MOST_FITTED = 1000
"""Training pictures that R-CNN's SVMs learn from at most."""


def complete(training: Training, model: Any, data: Dataset, options: RunOptions) -> None:
    """Fit what gradients do not, such as R-CNN's SVMs, to the averaged weights of a finished training.

    `model` is a copy of the network to work with; `data` the training pictures, used as they are judged.
    """
    recipe = evaluation_recipe(options.size)

    def pictures() -> Iterator[Batch]:
        for index in spaced(len(data), MOST_FITTED):
            with suppress(DataError):  # the loader has told of it
                yield collate([recipe(data[index])], stride=padding_of(model)).to(training.device)

    model.eval().load_state_dict(training.result())
    training.take(model.complete(pictures, options.training.seed))
