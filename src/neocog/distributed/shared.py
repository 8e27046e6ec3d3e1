"""A folder that all processes of a job write to, on whichever machine they are."""

from __future__ import annotations

import os
from pathlib import Path

from neocog.distributed.peers import Peers
from neocog.errors import UsageError
from neocog.files import disk_errors


def require_shared(folder: Path, peers: Peers) -> None:
    """Raise UsageError, in all processes, unless each sees the first one's folder under this path.

    What they write there is put together by the first. A meeting: the folder is there when it returns.
    """
    if peers.size == 1:
        return
    name = f".shared.{os.urandom(4).hex()}.tmp"
    if peers.first:
        with disk_errors(folder / name):
            (folder / name).touch()
    mark = folder / peers.spread(name)
    seen = peers.gather(mark.exists())
    if peers.first:
        mark.unlink()
    if not all(seen):
        raise UsageError(
            f"{folder}: process {seen.index(False)} does not see this folder of the first; "
            "give one that all machines share, under the same path"
        )
