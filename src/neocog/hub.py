"""What is given away of a run: its model folder with a card, in another folder or on the Hugging Face hub.

Nothing else leaves the machine. `huggingface_hub` serves the upload alone (`pip install "neocog[hub]"`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import yaml

from neocog.cards import model_card, with_licence
from neocog.errors import CheckpointError, UsageError
from neocog.files import require_empty
from neocog.version import __version__
from neocog.weights import (
    CARD,
    CONFIG,
    MOST_DOCUMENT,
    WEIGHTS,
    find_model,
    load_model,
    on_one_line,
    read_file,
    save_model,
)

FILES = (CONFIG, WEIGHTS, CARD)


@dataclass(frozen=True, slots=True)
class Gift:
    """A folder to give away."""

    folder: Path
    sizes: dict[str, int]  # bytes of each of FILES
    removed: tuple[str, ...]  # absolute paths of this machine of which only the names were left


def prepare_gift(run: Path, folder: Path, licence: str | None = None, datasets: Sequence[str] = ()) -> Gift:
    """Write what is given away of a run folder or model folder to `folder`, which is new or empty.

    The card is written from `run.json` and `evaluation.json`; that of a model folder without a run stays as
    it is, but for `licence` and `datasets`, as `model_card` takes them. Raises UsageError for a folder in
    use, CheckpointError for a run without a model, or one that is damaged, DiskError.
    """
    require_empty(folder)
    model = find_model(run)
    config, weights = load_model(model)
    removed: list[str] = []
    kept = {
        name: value if name == "classes" else _without_paths(value, removed) for name, value in config.items()
    }
    save_model(folder, kept, weights, _card(model, licence, datasets))
    sizes = {name: (folder / name).stat().st_size for name in FILES}
    return Gift(folder, sizes, tuple(removed))


def _without_paths(value: Any, removed: list[str]) -> Any:
    """The same plain value with names alone in place of absolute paths, which are added to `removed`."""
    if isinstance(value, dict):
        return {name: _without_paths(one, removed) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_paths(one, removed) for one in value]
    if isinstance(value, str):
        for path in (PurePosixPath(value), PureWindowsPath(value)):
            if path.is_absolute():
                removed.append(value)
                return path.name
    return value


def _card(model: Path, licence: str | None, datasets: Sequence[str]) -> str:
    """The card of the run that a model folder is of, or its own."""
    description = model.parent / "run.json"
    if model.name == "model" and description.exists():
        evaluation = model.parent / "evaluation.json"
        measured = _document(evaluation) if evaluation.exists() else None
        try:
            return model_card(_document(description), measured, licence=licence, datasets=datasets)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{description}: damaged, or {evaluation.name} beside it is") from error
    try:
        return with_licence(read_file(model / CARD, MOST_DOCUMENT).decode(), licence, datasets)
    except (ValueError, yaml.YAMLError) as error:
        raise CheckpointError(f"{model / CARD}: not a model card (text after YAML between dashes)") from error


def _document(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(read_file(path, MOST_DOCUMENT)))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged, not a JSON object") from error


def upload(gift: Gift, repository: str, *, private: bool = False) -> str:
    """Put the files on the hub as the model `repository` ("ORG/NAME"), made if it is not there; its address.

    Raises UsageError without `huggingface_hub`, a token, or leave to write there, and for what is no name;
    CheckpointError if the hub cannot be reached.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError
    except ImportError as error:
        raise UsageError('--to needs huggingface_hub: pip install "neocog[hub]"') from error
    transport: Any = HfHubHTTPError.__bases__[0]  # any failure on the way there, whatever carries requests
    try:
        api = HfApi(token=True, library_name="neocog", library_version=__version__)
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=gift.folder,
            allow_patterns=list(FILES),
            commit_message=f"A model of Neocog {__version__}",
        )
    except HFValidationError as error:
        raise UsageError(f"--to {repository}: not a name of a repository, such as ORG/NAME") from error
    except LocalTokenNotFoundError as error:
        raise UsageError("--to: no token of the hub here: run `hf auth login`, or set HF_TOKEN") from error
    except (transport, OSError) as error:
        raise _failure(repository, error) from error
    return str(address)


def _failure(repository: str, error: Exception) -> UsageError | CheckpointError:
    """What a failed request says: that the hub refuses, or that it was not reached."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403, 404):
        return UsageError(
            f"--to {repository}: refused by the hub (HTTP {status}): there is no such organisation, or the "
            "token may not write to it"
        )
    reason = on_one_line(str(error) or type(error).__name__)
    return CheckpointError(
        f"{repository}: not uploaded ({reason}): try again, or give --out and upload that folder"
    )
