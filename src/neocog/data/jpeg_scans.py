"""The scans of a JPEG (ITU-T T.81), walked without decoding them: whether a file holds all that it says.

libjpeg fills what is missing with grey and says nothing, so a file that was cut and then closed with an end
marker looks whole to it. Three things show such a cut: a component or a band of coefficients that no scan
ends (a cut between scans), too few restart markers (a cut between restarts), and pixels that change with
bytes put behind the last scan (`neocog.data.images`; a cut within the last interval).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from neocog.data.binary import MOST_PARTS

_MARK = re.compile(rb"\xff[\x01-\xfe]")
_NO_RESTART = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SEQUENTIAL, _PROGRESSIVE, _ARITHMETIC = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA), (0xC9, 0xCA)
_END, _SCAN, _INTERVAL, _FIRST_RESTART = 0xD9, 0xDA, 0xDD, 0xD0
_ALONE = (0x01, 0xD8, *range(0xD0, 0xD8))  # markers without a length


@dataclass
class Scans:
    """What the markers of a JPEG say."""

    kind: int = 0  # the second byte of its frame's marker: 0xC0 is baseline
    width: int = 0
    height: int = 0
    factors: dict[int, tuple[int, int]] = field(default_factory=dict)  # component -> sampling across, down
    left: dict[tuple[int, int], int] = field(default_factory=dict)  # (component, coefficient) -> bits to come
    count: int = 0
    interval: int = 0  # of restarts, in minimal coded units; 0: none
    end: int | None = None  # where the end marker begins; None where there is none

    @property
    def arithmetic(self) -> bool:
        """Whether bytes behind the last scan could change its last pixels even in a whole file."""
        return self.kind in _ARITHMETIC

    @property
    def single(self) -> bool:
        """Whether every pixel lies in one sequential scan."""
        return self.kind in _SEQUENTIAL and self.count == 1

    @property
    def complete(self) -> bool:
        """Whether every component is there, and every coefficient of which a part is."""
        return not any(self.left.values()) and all((component, 0) in self.left for component in self.factors)


def walk(data: bytes) -> Scans:
    """The scans up to the first end marker.

    Raises ValueError("truncated") for a scan with fewer restart markers than its size and interval demand,
    or out of their order, and for more segments than any picture has.
    """
    scans, position = Scans(), 2
    for _ in range(MOST_PARTS):
        mark = _MARK.search(data, position)
        if mark is None:
            return scans
        kind, start = data[mark.start() + 1], mark.end()
        if kind == _END:
            scans.end = mark.start()
            return scans
        if kind in _ALONE:
            position = start
            continue
        position = start + max(2, int.from_bytes(data[start : start + 2]))
        body = data[start + 2 : position]
        if kind in (*_SEQUENTIAL, *_PROGRESSIVE):
            _frame(scans, kind, body)
        elif kind == _INTERVAL:
            scans.interval = int.from_bytes(body[:2])
        elif kind == _SCAN:
            position = _scan(scans, data, position, body)
    raise ValueError("damaged JPEG (too many segments)")


def _frame(scans: Scans, kind: int, body: bytes) -> None:
    scans.kind = kind
    scans.height, scans.width = int.from_bytes(body[1:3]), int.from_bytes(body[3:5])
    triples = zip(body[6::3], body[7::3], body[8::3], strict=False)
    # libjpeg refuses a factor of 0 by itself.
    scans.factors = {component: (max(1, both >> 4), max(1, both & 15)) for component, both, _ in triples}


def _scan(scans: Scans, data: bytes, start: int, body: bytes) -> int:
    """Enter a scan whose coded pixels begin at `start`; returns where they end."""
    scans.count += 1
    components = [component for component in body[1:-3:2] if component in scans.factors]
    if scans.kind and components:
        _note_bits(scans, components, *body[-3:])
        if scans.interval:
            start = _restarts(data, start, -(-_units(scans, components) // scans.interval) - 1)
    following = _NO_RESTART.search(data, start)
    return following.start() if following else len(data)


def _note_bits(scans: Scans, components: Iterable[int], first: int, last: int, bits: int) -> None:
    """Which bits of which coefficients are still to come after a scan of this band."""
    if scans.kind in _SEQUENTIAL:
        first, last, bits = 0, 0, 0
    for component in components:
        for coefficient in range(first, min(last, 63) + 1):
            scans.left[component, coefficient] = bits & 15


def _units(scans: Scans, components: list[int]) -> int:
    """Minimal coded units of a scan: blocks where it is of one component."""
    across, down = (max(factor[axis] for factor in scans.factors.values()) for axis in (0, 1))
    if len(components) > 1:
        return -(-scans.width // (8 * across)) * -(-scans.height // (8 * down))
    own = scans.factors[components[0]]
    columns, rows = -(-scans.width * own[0] // across), -(-scans.height * own[1] // down)
    return -(-columns // 8) * -(-rows // 8)


def _restarts(data: bytes, start: int, needed: int) -> int:
    """Pass over the restart markers that a scan needs."""
    for number in range(needed):
        mark = _MARK.search(data, start)
        if mark is None or data[mark.start() + 1] == _END:
            raise ValueError("truncated")
        if data[mark.start() + 1] != _FIRST_RESTART + number % 8:
            raise ValueError("damaged JPEG (restart markers missing)")
        start = mark.end()
    return start
