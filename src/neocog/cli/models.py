"""`neocog models`: what there is."""

from __future__ import annotations

from neocog.cli.common import JsonOption, output, print_table, write_json

EXAMPLE = "Example: neocog models --json models.json"


def models(json: JsonOption = None) -> None:
    """List the models and the backbones they run on."""
    from neocog.defaults import BACKBONES
    from neocog.zoo import MODELS

    file = output(json)
    rows: list[list[object]] = [
        [name, str(entry.task), entry.summary, entry.paper] for name, entry in MODELS.items()
    ]
    print_table(["model", "task", "what it is", "paper"], rows, file=file)
    print(f"backbones: {', '.join(BACKBONES)}", file=file)
    document = {
        name: {"task": str(e.task), "backbones": list(e.backbones), "summary": e.summary, "paper": e.paper}
        for name, e in MODELS.items()
    }
    write_json({"models": document, "backbones": list(BACKBONES)}, json)
