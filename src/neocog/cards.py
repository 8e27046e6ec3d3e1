"""The model card of a model folder: what it is, what it learnt from, what it achieves, what it is not for.

It is the README.md that the Hugging Face hub shows; what stands between its dashes, in YAML, is for machines:
https://huggingface.co/docs/hub/model-cards#model-card-metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from neocog.files import finite
from neocog.types import Task
from neocog.weights import CONFIG, WEIGHTS

PIPELINES = {
    Task.DETECT: "object-detection",
    Task.LOCALIZE: "object-detection",
    Task.SEGMENT: "image-segmentation",
    Task.CLASSIFY: "image-classification",
    Task.RECONSTRUCT: "image-to-image",
}
"""The hub's names of the tasks."""

_USES = {
    Task.DETECT: "finds the objects of its classes in pictures like those it learnt from",
    Task.LOCALIZE: "names the one main object of a picture and says where it is",
    Task.SEGMENT: "names the class of every pixel in pictures like those it learnt from",
    Task.CLASSIFY: "names the one class that a whole picture shows",
    Task.RECONSTRUCT: "gives a picture back by way of a short code",
}

_STARTS = {
    None: "random weights",
    "imagenet": "published ImageNet weights",
    "coco": "published COCO weights",
}

FEW = 1000
"""Fewer training pictures than this are called few."""

MOST_CLASSES = 30
"""Of a table of classes; more are listed by name alone."""


def model_card(
    run: Mapping[str, Any],
    evaluation: Mapping[str, Any] | None,
    *,
    licence: str | None = None,
    datasets: Sequence[str] = (),
) -> str:
    """The card of a run, from its `run.json` and the `evaluation.json` of what was measured last, if any was.

    `licence`: of the weights, by the hub's name of it; without one the card states none. `datasets`: the
    hub's names of the data.
    """
    options, data = run["options"], run["data"]
    title = f"{options['model']} on {options['backbone']}: {data['name']}"
    results = [] if evaluation is None else [_result(run, evaluation)]
    index = [{"name": title, "results": results}] if results else []
    front = front_matter(run["task"], options["model"], options["backbone"], licence, datasets, index)
    sections = [
        f"# {title}",
        _trained(run),
        "\n".join(_classes(run)),
        "" if evaluation is None else "\n".join(_measured(run, evaluation)),
        _used(run["task"]),
        "\n".join(["## Limits", "", *(f"- {one}" for one in _limits(run))]),
    ]
    return front + "\n\n".join(section for section in sections if section) + "\n"


def published_card(
    config: Mapping[str, Any], origin: str, file: str, digest: str, classes: Sequence[str]
) -> str:
    """The card of a model that others trained and published as `file`, whose SHA-256 begins with `digest`."""
    source = config["source"]
    sections = [
        f"# {config['model']} on {config['backbone']}: {source['as']}",
        f"Converted by Neocog {config['neocog']}, which did not train it, from `{source['file']}` "
        f"(SHA-256 `{source['sha256']}`), read as {origin}. The published file is `{file}`, whose SHA-256 "
        f"begins with `{digest}`.",
        f"Classes: {', '.join(classes)}.",
        _used(config["task"]),
        "The licence of the weights is their authors'.",
    ]
    return front_matter(config["task"], config["model"], config["backbone"]) + "\n\n".join(sections) + "\n"


def front_matter(
    task: str,
    model: str,
    backbone: str,
    licence: str | None = None,
    datasets: Sequence[str] = (),
    index: Sequence[Mapping[str, Any]] = (),
) -> str:
    """What the hub reads of a card: YAML between dashes."""
    fields = {
        "library_name": "neocog",
        "pipeline_tag": PIPELINES[Task(task)],
        "license": licence,
        "tags": list(dict.fromkeys(["neocog", model, backbone])),
        "datasets": list(datasets),
        "model-index": list(index),
    }
    return _between_dashes({name: value for name, value in fields.items() if value}) + "\n"


def with_licence(card: str, licence: str | None, datasets: Sequence[str] = ()) -> str:
    """The same card that states this licence and these data, where they are given.

    Raises ValueError or `yaml.YAMLError` where there is no YAML between dashes before its text.
    """
    empty, front, text = card.split("---\n", 2)
    fields = yaml.safe_load(front)
    if empty or not isinstance(fields, dict):
        raise ValueError("no fields between dashes")
    given = {"license": licence, "datasets": list(datasets)}
    return _between_dashes(fields | {name: value for name, value in given.items() if value}) + text


def _between_dashes(fields: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(dict(fields), sort_keys=False, allow_unicode=True)}---\n"


def _result(run: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What was measured, in the hub's terms; a metric without a number is left out."""
    metrics = {name: value for name, value in finite(evaluation["metrics"]).items() if value is not None}
    name = evaluation["data"]
    return {
        "task": {"type": PIPELINES[Task(run["task"])]},
        "dataset": {"type": name, "name": name, "split": evaluation["split"]},
        "metrics": [{"type": metric, "value": value, "name": metric} for metric, value in metrics.items()],
    }


def _trained(run: Mapping[str, Any]) -> str:
    options, data, training = run["options"], run["data"], run["options"]["training"]
    budget = next(
        (f"{training[unit]:g} {unit}" for unit in ("steps", "epochs", "minutes") if training[unit]), "-"
    )
    height, width = options["size"]
    arithmetic = "bf16" if run["machine"]["bf16"] else "f32"
    start = _STARTS.get(options["weights"], "weights of a file")
    return (
        f"Trained with Neocog {run['neocog']} on the split `{data['split']}` of `{data['name']}` "
        f"({data['images']} images), from {start}: {budget} of {training['optimizer']} at "
        f"{training['lr']:g}, batch {training['batch']}, in {arithmetic}, seed {training['seed']}. "
        f"Input: {width} x {height} px. {run['parameters']:,} parameters."
    )


def _classes(run: Mapping[str, Any]) -> Iterator[str]:
    """The classes, and how many annotations of each there were to learn from."""
    counts = ((run["data"].get("report") or {}).get("classes")) or {}
    if not counts or len(run["classes"]) > MOST_CLASSES:
        yield f"Classes: {', '.join(run['classes'])}."
        return
    yield from ("| class | annotations learnt from |", "| --- | ---: |")
    for name in run["classes"]:
        yield f"| {_cell(name)} | {counts.get(name, {}).get('used', 0)} |"


def _measured(run: Mapping[str, Any], evaluation: Mapping[str, Any]) -> Iterator[str]:
    split, seed = evaluation["split"], run["options"]["training"]["seed"]
    yield (
        f"Measured on the split `{split}` of `{evaluation['data']}` ({evaluation['images']} images), in "
        f"{evaluation['precision']}; one training, of seed {seed}:\n"
    )
    yield from ("| metric | value |", "| --- | ---: |")
    for name, value in evaluation["metrics"].items():
        yield f"| {name} | {'-' if value is None else f'{value:.4f}'} |"


def _used(task: str) -> str:
    return (
        f"Intended use: it {_USES[Task(task)]}. After `pip install neocog`: "
        "`neocog predict FOLDER photo.jpg`, or "
        f"`neocog.load(FOLDER).predict(image)`, where FOLDER holds `{CONFIG}` and `{WEIGHTS}`."
    )


def _limits(run: Mapping[str, Any]) -> Iterator[str]:
    """What a user should know, from what the run knows of itself."""
    data, report = run["data"], run["data"].get("report") or {}
    yield "It knows these classes only, as they look in that data set; its scores are not calibrated."
    yield "The licence of the training data may limit what the weights can be used for."
    if data["images"] < FEW:
        yield f"It learnt from few pictures: {data['images']}."
    lost = {kind: sum((report.get(kind) or {}).get("lost", {}).values()) for kind in ("files", "annotations")}
    if any(lost.values()):
        told = " and ".join(f"{count} {kind}" for kind, count in lost.items() if count)
        yield f"{told} of the training data could not be used, and were left out."
    if run.get("unreadable"):
        yield f"{len(run['unreadable'])} pictures could not be read in training."
    unseen = run["options"]["options"].get("unseen") or ()
    if unseen:
        yield f"It was never shown these classes, and knows them by vectors alone: {', '.join(unseen)}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
