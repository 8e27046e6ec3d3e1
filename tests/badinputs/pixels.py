"""Bad masks and class folders: 58 to 61 of the catalogue."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from tests.badinputs import BadInput, Expected, Ground

COMMANDS = ("load", "check")
"""No model of this table's kind is trained here."""


def mask(spot: Ground) -> tuple[Path, np.ndarray]:
    """The mask of a picture that is good so far, and what is in it."""
    path = spot.annotation(spot.picture())
    with Image.open(path) as image:
        return path, np.asarray(image).copy()


def save(path: Path, values: np.ndarray, **options: object) -> None:
    """With the palette that was there, if the values are bytes."""
    with Image.open(path) as before:
        colours = before.getpalette()
    image = Image.fromarray(values)
    if values.dtype == np.uint8 and values.ndim == 2 and colours:
        image.putpalette(colours)
    image.save(path, **options)  # type: ignore[arg-type]


def other_size(spot: Ground) -> str:
    path, values = mask(spot)
    save(path, values[:-1])
    return spot.place(path)


def lossy(spot: Ground) -> str:
    path, values = mask(spot)
    Image.fromarray(values).save(path, "JPEG", quality=95)
    return spot.place(path)


def coloured(spot: Ground) -> str:
    """RGB masks, and a list of classes that has no colours."""
    names = [line.split()[1] for line in (spot.root / "classes.txt").read_text().splitlines()]
    (spot.root / "classes.txt").write_text("\n".join(names))
    for path in sorted((spot.root / "SegmentationClass").iterdir()):
        with Image.open(path) as image:
            image.convert("RGB").save(path)
    return ""


def coloured_with_a_table(spot: Ground) -> str:
    """An RGB mask in the colours that classes.txt gives."""
    path, _ = mask(spot)
    with Image.open(path) as image:
        image.convert("RGB").save(path)
    return spot.place(path)


def odd_colour(spot: Ground) -> str:
    path, _ = mask(spot)
    with Image.open(path) as image:
        values = np.asarray(image.convert("RGB")).copy()
    values[5, 5] = 1, 2, 3
    save(path, values)
    return spot.place(path)


def blurred(spot: Ground) -> str:
    """The edges that a resizing with interpolation leaves."""
    path, values = mask(spot)
    values[9, 9:12] = 47, 99, 200
    save(path, values)
    return spot.place(path)


def wide(spot: Ground, top: int) -> str:
    path, values = mask(spot)
    numbers = values.astype(np.uint16)
    numbers[0, 0] = top
    save(path, numbers)
    return spot.place(path)


def small_wide(spot: Ground) -> str:
    return wide(spot, 3)


def large_wide(spot: Ground) -> str:
    return wide(spot, 40_000)


def grey(spot: Ground) -> str:
    """The same numbers without a palette."""
    path, values = mask(spot)
    Image.fromarray(values).save(path)
    return spot.place(path)


def ignored(spot: Ground) -> str:
    path, values = mask(spot)
    save(path, np.full_like(values, 255))
    return spot.place(path)


def clear(spot: Ground) -> str:
    path, values = mask(spot)
    rgba = np.zeros((*values.shape, 4), np.uint8)
    save(path, rgba)
    return spot.place(path)


def cut(spot: Ground) -> str:
    path, _ = mask(spot)
    path.write_bytes(path.read_bytes()[:-30])
    return spot.place(path)


def gone(spot: Ground) -> str:
    path, _ = mask(spot)
    path.unlink()
    return spot.place(path)


def text(spot: Ground) -> str:
    path, _ = mask(spot)
    path.write_text("<html>404</html>")
    return spot.place(path)


def bomb(spot: Ground) -> str:
    path, _ = mask(spot)
    Image.new("1", (13_000, 13_000)).save(path)
    return spot.place(path)


def no_picture(spot: Ground) -> str:
    picture = spot.picture()
    picture.unlink()
    return spot.place(picture.with_suffix(""))  # the list says no more


def outside(spot: Ground) -> str:
    with (spot.root / "ImageSets/Segmentation/train.txt").open("a") as file:
        file.write("../../secret\n")
    return "SegmentationClass/../../secret.png"


def class_twice(spot: Ground) -> str:
    with (spot.root / "classes.txt").open("a") as file:
        file.write("3 thing 9 9 9\n")
    return "classes.txt"


SKIP, OK, STOP = Expected.SKIP_FILE, Expected.OK, Expected.STOP

MASKS = [
    BadInput(f"{number}-{word}", title, make, expected, pattern, "masks", COMMANDS)
    for number, word, title, make, expected, pattern in (
        (58, "size", "a mask of another size", other_size, SKIP, "differs from its image's .*64x63"),
        (58, "odd-colour", "a colour of no class", odd_colour, SKIP, "outside the classes .*#010203"),
        (58, "table", "colours that have a table", coloured_with_a_table, OK, ""),
        (
            58,
            "blurred",
            "blurred edges",
            blurred,
            SKIP,
            r"outside the classes \(file left out; 47, 99, 200\)",
        ),
        (58, "16-bit", "16 bits and small numbers", small_wide, OK, ""),
        (58, "16-bit-large", "16 bits and large numbers", large_wide, SKIP, "outside the classes .*40000"),
        (58, "transparent", "a transparent mask", clear, SKIP, "mask with transparent pixels"),
        (58, "cut", "a mask that was cut", cut, SKIP, "truncated"),
        (58, "gone", "a mask that is not there", gone, SKIP, "no such file"),
        (58, "text", "a text as mask", text, SKIP, r"not an image \(text\)"),
        (58, "bomb", "a mask of 169 megapixels", bomb, SKIP, "169 Mpx > 50 Mpx limit"),
        (58, "no-picture", "a mask whose picture is not there", no_picture, SKIP, "no such file"),
        (58, "outside", "a list that leads outside", outside, SKIP, "leads outside root"),
        (59, "grey", "numbers without a palette", grey, OK, ""),
        (60, "ignored", "a mask that ignores everything", ignored, OK, "mask that ignores every pixel"),
    )
]
MASK_STOPS = [
    BadInput("58-lossy", "a mask as JPEG", lossy, STOP, r"lossy mask \(JPEG", "masks", COMMANDS),
    BadInput(
        "58-colours", "colours without a table", coloured, STOP, "give one in classes.txt", "masks", COMMANDS
    ),
    BadInput("58-class-twice", "a number twice", class_twice, STOP, "is listed twice", "masks", COMMANDS),
]


def clutter(spot: Ground) -> str:
    folder = spot.pictures[0].parent
    (folder / "__MACOSX").mkdir()
    for name in (".DS_Store", "desktop.ini", "._a.png", "__MACOSX/._b.png"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    (folder / "Thumbs.db").write_bytes(b"x")
    return spot.place(folder / "Thumbs.db")


def loose(spot: Ground) -> str:
    path = spot.root / "train" / "loose.png"
    shutil.copy(spot.pictures[0], path)
    return spot.place(path)


def at_the_root(spot: Ground) -> str:
    path = spot.root / "stray.png"
    shutil.copy(spot.pictures[0], path)
    return spot.place(path)


def empty_picture(spot: Ground) -> str:
    path = spot.picture()
    path.write_bytes(b"")
    return spot.place(path)


def unlisted(spot: Ground) -> str:
    """A class folder that classes.txt does not name."""
    path = spot.root / "train" / "unicorn" / "u.png"
    path.parent.mkdir()
    shutil.copy(spot.pictures[0], path)
    return spot.place(path)


def without_list(spot: Ground) -> None:
    (spot.root / "classes.txt").unlink()


def empty_class(spot: Ground) -> str:
    """An empty folder, in all splits, of a class that nothing else names."""
    without_list(spot)
    for split in ("train", "val", "test"):
        (spot.root / split / "unicorn").mkdir()
    return "train/unicorn"


def class_sets(spot: Ground) -> str:
    without_list(spot)
    (spot.root / "val" / "unicorn").mkdir()
    return ""


def one_class(spot: Ground) -> str:
    without_list(spot)
    for split in ("train", "val", "test"):
        pictures = sorted((spot.root / split).rglob("*.png"))
        (spot.root / split / "thing").mkdir()
        for number, path in enumerate(pictures):
            path.rename(spot.root / split / "thing" / f"{number}.png")
        for folder in (spot.root / split).iterdir():
            if folder.name != "thing":
                folder.rmdir()
    return "."


FOLDERS = [
    BadInput(f"61-{word}", title, make, expected, pattern, "folders", COMMANDS)
    for word, title, make, expected, pattern in (
        ("clutter", "files of desktops and archivers", clutter, OK, "hidden, or not a picture"),
        ("loose", "a picture beside the class folders", loose, OK, "image in no class folder"),
        ("root", "a picture at the root", at_the_root, OK, "image in no class folder"),
        ("empty", "a picture of no bytes", empty_picture, SKIP, "empty file"),
        ("unlisted", "a class that the list lacks", unlisted, SKIP, "not in classes.txt"),
    )
]
FOLDERS_ALONE = [
    BadInput(f"61-{word}", title, make, expected, pattern, "folders", COMMANDS)
    for word, title, make, expected, pattern in (
        ("empty-class", "an empty class folder", empty_class, OK, "class folder without pictures"),
        ("one-class", "one class only", one_class, OK, r"one class only \(noted; 'thing'\)"),
        ("class-sets", "classes of train and val differ", class_sets, STOP, "train: arrow.*; val: .*unicorn"),
    )
]
