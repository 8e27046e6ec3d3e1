"""What a run trains: the network alone, or the stages that lead to it."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from neocog.defaults import BACKBONES
from neocog.parts.pretrain import CropClassifier
from neocog.parts.stages import Course, Stage
from neocog.plan import RunOptions
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
