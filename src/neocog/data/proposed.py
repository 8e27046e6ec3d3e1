"""A data set whose samples bring proposals: found once in each picture, and kept in a folder.

Searching a picture takes longer than training on it, so what was found is kept under the hash of the pixels
and the method: a renamed picture is found again, an altered one is searched anew, and several data sets or
runs can share one folder. It lies beside the run, never in the data set. A file in it that is damaged, or
that the disk refuses, costs time and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neocog.data.dataset import Dataset, Derived
from neocog.data.workers import Pool, WorkerDied
from neocog.errors import DataError
from neocog.files import write_again
from neocog.types import Proposals, Sample

Find = Callable[[np.ndarray], Proposals]
"""A picture (H, W, 3) uint8 RGB -> its proposals, best first: a pure function."""

_DIGEST = hashlib.sha256().digest_size


class Proposed(Derived):
    """`data`, with proposals in every sample; the rest is as in `data`."""

    def __init__(self, data: Dataset, find: Find, method: str, folder: Path | None) -> None:
        """`method` names `find` and its options, for the hash; without a `folder` nothing is kept."""
        super().__init__(data)
        self._find, self._method, self._folder = find, method, folder

    def __getitem__(self, index: int) -> Sample:
        sample = self._data[index]
        return replace(sample, proposals=self.proposals(sample.image))

    def proposals(self, image: np.ndarray) -> Proposals:
        """The proposals of one picture, read from the folder or found and put there."""
        if self._folder is None:
            return self._find(image)
        path = self._path(image)
        kept = _read(path)
        if kept is None:
            kept = self._find(image)
            _write(path, kept)
        return kept

    def prepare(self, indices: Sequence[int], workers: int) -> Iterator[int]:
        """Find the proposals of these pictures before they are needed; yields how many are done.

        Pictures that cannot be read are passed over: whoever reads them next will say so. Raises DataError
        when a worker process dies.
        """
        if workers == 0:
            yield from (done for done, _ in enumerate(map(self._prepare, indices), 1))
            return
        pool = Pool(self._prepare, workers)
        try:
            yield from (done for done, _ in enumerate(pool.map(indices), 1))
        except WorkerDied as death:
            raise DataError(
                f"{self.name}: a process that searched for proposals died ({death}), most likely for want of "
                "memory; use fewer --workers"
            ) from death
        finally:
            pool.close()

    def _prepare(self, index: int) -> None:
        try:
            self.proposals(self._data[index].image)
        except DataError:
            return

    def _path(self, image: np.ndarray) -> Path:
        assert self._folder is not None
        digest = hashlib.sha256(f"{self._method} {image.shape}\0".encode())
        digest.update(np.ascontiguousarray(image).data)
        name = digest.hexdigest()
        return self._folder / name[:2] / f"{name[2:]}.boxes"


def _write(path: Path, proposals: Proposals) -> None:
    """Boxes and scores as (R, 5) float32, little-endian, after their SHA-256."""
    table = torch.cat([proposals.boxes, proposals.scores[:, None]], dim=1).numpy()
    content = np.ascontiguousarray(table, dtype="<f4").tobytes()
    write_again(path, hashlib.sha256(content).digest() + content)


def _read(path: Path) -> Proposals | None:
    """What `_write` wrote; None if it is not there, or damaged."""
    try:
        document = path.read_bytes()
    except OSError:
        return None
    content = document[_DIGEST:]
    if hashlib.sha256(content).digest() != document[:_DIGEST] or len(content) % 20:
        return None
    table = torch.from_numpy(np.frombuffer(content, "<f4").reshape(-1, 5).astype(np.float32))
    return Proposals(table[:, :4].contiguous(), table[:, 4].contiguous())
