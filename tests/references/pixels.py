"""Small data sets of masks, class folders and IDX files, written by other code than the readers use."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tests.references.datasets import save_picture

Mask = np.ndarray | Sequence[Sequence[int]]


def blocks(*values: int, side: int = 10) -> np.ndarray:
    """A mask of squares of these values beside each other."""
    return np.repeat(np.repeat(np.array([values], np.uint8), side, axis=0), side, axis=1)


def save_mask(path: Path, values: Mask, palette: bool = True) -> Path:
    """A palette PNG with odd colours, or a grey one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if palette:
        colours = np.random.default_rng(0).integers(0, 256, (256, 3), dtype=np.uint8)
        image.putpalette(colours.tobytes())
    image.save(path)
    return path


def write_masks(
    root: Path, world: Mapping[str, Sequence[Mask]], classes: str = "", palette: bool = True
) -> Path:
    """VOC's layout; image and mask `<split><number>`."""
    (root / "ImageSets/Segmentation").mkdir(parents=True)
    for split, masks in world.items():
        stems = [f"{split}{number}" for number in range(len(masks))]
        (root / f"ImageSets/Segmentation/{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
        for number, (stem, mask) in enumerate(zip(stems, masks, strict=True)):
            height, width = np.asarray(mask).shape[:2]
            save_picture(root / f"JPEGImages/{stem}.png", width, height, number)
            save_mask(root / f"SegmentationClass/{stem}.png", mask, palette)
    if classes:
        (root / "classes.txt").write_text(classes)
    return root


def write_folders(root: Path, world: Mapping[str, Mapping[str, int]]) -> Path:
    """Split -> class -> number of pictures; the split "" is the root itself."""
    seed = 0
    for split, classes in world.items():
        for name, count in classes.items():
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                seed += 1
                save_picture(root / split / name / f"{number}.png", seed=seed)
    return root


def idx_bytes(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes."""
    sizes = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def write_idx(root: Path, stem: str, images: np.ndarray, labels: np.ndarray, packed: bool = True) -> Path:
    """`<stem>-images-idx3-ubyte` and `<stem>-labels-idx1-ubyte`, with `.gz` where they are packed."""
    root.mkdir(parents=True, exist_ok=True)
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        data = idx_bytes(values)
        path = root / f"{stem}-{kind}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(data) if packed else data)
    return root
