"""Where a COCO data set keeps its JSON files and its images."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from neocog.data.files import ORDER, children, is_inside, open_regular, split_name
from neocog.data.json_file import MOST_JSON
from neocog.data.places import one_place
from neocog.errors import DataError

WHOLE = ("_annotations.coco", "annotations", "instances", "coco")
"""Stems of a JSON file that holds a whole data set, where nothing is named after a split."""

OTHER_TASKS = ("captions_", "person_keypoints_", "panoptic_", "stuff_", "image_info_")


def home_of(root: Path) -> Path:
    """The data set's folder: the path itself, or the home of a JSON file given by itself."""
    if root.is_dir():
        return root
    return root.parent.parent if root.parent.name == "annotations" else root.parent


def split_token(stem: str) -> str:
    """`instances_train2017` -> `train`."""
    return split_name(re.sub(r"(?<=[a-z])[-_]?\d{4}$", "", stem.removeprefix("instances_")))


def json_files(root: Path) -> dict[str, Path]:
    """Split -> JSON file; the key "" is one file that holds a whole data set. Empty: not this format.

    Raises DataError for two files of one split, as `val.json` beside `instances_val.json`.
    """
    if root.is_file():
        names = [root.stem, *([root.parent.name] if root.stem == "_annotations.coco" else [])]
        split = next((token for token in map(split_token, names) if token in ORDER), "")
        return {split: root} if root.suffix.lower() == ".json" else {}
    folder = root / "annotations"
    stems = [stem for stem in _json_stems(folder) if not stem.startswith(OTHER_TASKS)]
    found = _named(root, folder, [stem for stem in stems if _is_split(folder, stem)] or stems)
    if found:
        return found
    stems = _json_stems(root)
    named = _named(root, root, [stem for stem in stems if split_token(stem) in ORDER])
    folders = [(split_name(name), name, root / name / "_annotations.coco.json") for name in children(root)]
    below = [entry for entry in folders if entry[2].is_file()]
    whole = next((stem for stem in WHOLE if stem in stems), None)
    both = one_place(root, [(split, path.name, path) for split, path in named.items()] + below)
    return both or ({"": root / f"{whole}.json"} if whole else {})


def unused_files(root: Path, files: Iterable[Path]) -> list[str]:
    """JSON files beside those of the splits that are of this task and no split's."""
    used = set(files)
    folders = {path.parent for path in used} if root.is_dir() else set()
    return sorted(
        Path(os.path.relpath(folder / f"{stem}.json", root)).as_posix()
        for folder in folders
        for stem in _json_stems(folder)
        if folder / f"{stem}.json" not in used and not stem.startswith(OTHER_TASKS)
    )


def _json_stems(folder: Path) -> list[str]:
    return [name[:-5] for name in children(folder) if name.endswith(".json")]


def _is_split(folder: Path, stem: str) -> bool:
    """Whether a JSON file is a split's: by its name, else by how it begins, as `night.json` may be one."""
    if stem.startswith("instances_") or split_token(stem) in ORDER:
        return True
    try:
        with open_regular(folder / f"{stem}.json", MOST_JSON) as file:
            head = file.read(1 << 16)
    except DataError:
        return False
    return any(key in head for key in (b'"images"', b'"image_id"'))


def _named(root: Path, folder: Path, stems: list[str]) -> dict[str, Path]:
    """Split -> file. Years are left off where names stay apart; a single odd name is a whole data set."""
    splits = [split_token(stem) for stem in stems]
    if len(stems) == 1 and splits[0] not in ORDER:
        return {"": folder / f"{stems[0]}.json"}
    plain = [split_name(stem.removeprefix("instances_")) for stem in stems]
    named = [split if splits.count(split) == 1 else name for split, name in zip(splits, plain, strict=True)]
    files = [folder / f"{stem}.json" for stem in stems]
    return one_place(root, zip(named, [file.name for file in files], files, strict=True))


def image_folders(home: Path, path: Path, split: str) -> list[str]:
    """Folders in which a JSON file's images are looked for, in order, relative to the data set's folder."""
    below = [name for name in children(home) + children(home / "images") if split_token(name) == split]
    names = [path.stem.removeprefix("instances_"), split, *below]
    wanted = [place for name in names for place in (f"images/{name}", name)]
    wanted += ["images", "JPEGImages", Path(os.path.relpath(path.parent, home)).as_posix(), "data", "."]
    return [place for place in dict.fromkeys(wanted) if (home / place).is_dir()]


def spare_folders(home: Path, files: dict[str, Path]) -> list[str]:
    """Folders of pictures that belong to no split by their name, though they lie where those of splits do."""
    owned = {place for split, path in files.items() for place in image_folders(home, path, split)}
    splits = [name for name in children(home) if split_token(name) in ORDER]
    places = [*(f"images/{name}" for name in children(home / "images")), *splits]
    return [place for place in places if place not in owned and (home / place).is_dir()]


def find_image(home: Path, folders: list[str], name: object) -> str | None:
    """An image's path relative to the data set's folder; its bare name when it is in none of the folders.

    None for what is no name, and for a name that leads out of the folders: absolute, with "..", or a URL.
    """
    if not isinstance(name, str) or not is_inside(name):
        return None
    plain = name.replace("\\", "/")
    spellings = dict.fromkeys([name, plain])
    if not name.isascii():
        spellings.update(dict.fromkeys(unicodedata.normalize(form, plain) for form in ("NFC", "NFD")))
    for spelling in spellings:
        for folder in folders:
            place = PurePosixPath(folder, spelling).as_posix()  # without "." and "//": one name for one file
            if os.path.lexists(home / place):
                return place
    return PurePosixPath(plain).as_posix()
