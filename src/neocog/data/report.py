"""What was wrong with a data set, what was done about it, and books that balance.

Nothing is lost silently: every file or annotation left out is one `Fault`, one line, and
seen = used + lost (by reason) holds for files and for annotations.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from neocog.data.files import printable
from neocog.errors import DataError

MOST_LOST = 0.10
"""The share of files, or of annotations, that may be lost before reading stops."""

MOST_KEPT = 10_000
"""Faults of one outcome and reason that are kept as lines; what is over is counted."""

MOST_REASONS = 1000
"""Reasons told apart: some quote the file, which may say something new each time."""

MANY = "further reasons"
MOST_LINE = 1000
"""Characters of a fault's line: a name in a damaged file may be as long as the file."""


class Outcome(StrEnum):
    """What was done about a fault."""

    SKIPPED_FILE = "file left out"
    DROPPED = "annotation left out"
    FIXED = "fixed"
    NOTED = "noted"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one file or record."""

    file: str  # relative to the data set's folder
    record: str  # "line 3", "object 2", "annotations[17]"; empty: the whole file
    reason: str
    remedy: str  # what the user can do, or what reading did; may be empty
    outcome: Outcome

    @property
    def line(self) -> str:
        """`file[:record]: reason (what was done)`."""
        place = f"{self.file}:{self.record}" if self.record else self.file
        done = f"{self.outcome.value}; {self.remedy}" if self.remedy else self.outcome.value
        line = printable(f"{place}: {self.reason} ({done})")
        return line if len(line) <= MOST_LINE else f"{line[: MOST_LINE - 100]} ... {line[-90:]}"


@dataclass
class Report:
    """Faults and books of one split."""

    name: str = ""  # "bccd, train": opens the stop message
    faults: list[Fault] = field(default_factory=list)  # at most MOST_KEPT of one outcome and reason
    tally: Counter[tuple[Outcome, str]] = field(default_factory=Counter)  # outcome and reason -> faults
    files_seen: int = 0
    files_used: int = 0
    annotations_seen: int = 0
    annotations_used: int = 0
    annotations_merged: int = 0  # exact duplicates removed: nothing is lost with them
    lost_files: Counter[str] = field(default_factory=Counter)  # reason -> files
    lost_annotations: Counter[str] = field(default_factory=Counter)  # reason -> annotations
    backgrounds: Counter[str] = field(default_factory=Counter)  # why images have no annotations -> images
    class_seen: Counter[str] = field(default_factory=Counter)
    class_used: Counter[str] = field(default_factory=Counter)
    stops: list[str] = field(default_factory=list)  # reasons to stop that concern the whole split

    def skip(self, file: str, reason: str, remedy: str = "", record: str = "") -> None:
        """A file is left out: this one, or the one a record of this one names.

        Its annotations, where they are known, are entered by `lose`.
        """
        self.lost_files[self._enter(file, record, reason, remedy, Outcome.SKIPPED_FILE)] += 1

    def drop(self, file: str, record: str, reason: str, remedy: str = "") -> None:
        """An annotation is left out."""
        self.lost_annotations[self._enter(file, record, reason, remedy, Outcome.DROPPED)] += 1

    def fix(self, file: str, record: str, reason: str, remedy: str = "") -> None:
        self._enter(file, record, reason, remedy, Outcome.FIXED)

    def note(self, file: str, record: str, reason: str, remedy: str = "") -> None:
        self._enter(file, record, reason, remedy, Outcome.NOTED)

    def _enter(self, file: str, record: str, reason: str, remedy: str, outcome: Outcome) -> str:
        """Keep or count a fault; returns the reason it is counted under."""
        if len(self.tally) >= MOST_REASONS and (outcome, reason) not in self.tally:
            reason = MANY
        self.tally[outcome, reason] += 1
        if self.tally[outcome, reason] <= MOST_KEPT:
            self.faults.append(Fault(file, record, reason, remedy, outcome))
        return reason

    def lose(self, reason: str, count: int) -> None:
        """Annotations go with a file that is left out."""
        if count:
            self.lost_annotations[reason] += count

    @property
    def balanced(self) -> bool:
        """seen = used + lost, for files and for annotations."""
        annotations = self.annotations_used + self.annotations_merged + sum(self.lost_annotations.values())
        files = self.files_used + sum(self.lost_files.values())
        return self.files_seen == files and self.annotations_seen == annotations

    def stop_reason(self, strict: bool = False) -> str | None:
        """Why this split must not be used, on one line; None when it may."""
        bad = [fault for fault in self.faults if fault.outcome in (Outcome.SKIPPED_FILE, Outcome.DROPPED)]
        why = self._loss(strict and bool(bad))
        if why is None:
            return None
        first = f"; first: {bad[0].line}" if bad else ""
        return printable(f"{self.name}: {why}{first}" if self.name else f"{why}{first}")

    def _loss(self, strict: bool) -> str | None:
        files, annotations = sum(self.lost_files.values()), sum(self.lost_annotations.values())
        figures = f"{files} of {self.files_seen} files"
        figures += f" and {annotations} of {self.annotations_seen} annotations are lost"
        gone = sorted(name for name, seen in self.class_seen.items() if seen and not self.class_used[name])
        if self.stops:
            return self.stops[0]
        if strict:
            return f"{figures}, and strict reading allows none"
        if not self.files_used:
            return f"the split is empty: {figures}"
        if files > MOST_LOST * self.files_seen or annotations > MOST_LOST * self.annotations_seen:
            return f"{figures}, more than {MOST_LOST:.0%}"
        if gone:
            names = ", ".join(f"'{name}'" for name in gone[:5])
            return f"every annotation of class {names} is lost: {figures}"
        return None

    def judge(self, strict: bool = False) -> None:
        """Raise DataError when too much is lost; with `strict`, when anything is."""
        reason = self.stop_reason(strict)
        if reason is not None:
            raise DataError(reason)

    def counts(self) -> list[tuple[str, str, int]]:
        """(outcome, reason, count), most frequent first."""
        counted = [(outcome.value, reason, count) for (outcome, reason), count in self.tally.items()]
        return sorted(counted, key=lambda row: (-row[2], row[:2]))

    def lines(self, limit: int = 20) -> list[str]:
        """The faults as text: at most `limit` of one outcome and reason, then how many more there are."""
        shown: Counter[tuple[Outcome, str]] = Counter()
        lines = []
        for fault in self.faults:
            shown[fault.outcome, fault.reason] += 1
            if shown[fault.outcome, fault.reason] <= limit:
                lines.append(fault.line)
        for (outcome, reason), count in self.tally.items():
            if count > min(limit, MOST_KEPT):
                lines.append(printable(f"... {count} in all: {reason} ({outcome.value})"))
        return lines

    def merge(self, other: Report) -> None:
        """Add another split's faults and books to these."""
        self.faults += other.faults
        self.tally += other.tally
        self.stops += other.stops
        self.files_seen += other.files_seen
        self.files_used += other.files_used
        self.annotations_seen += other.annotations_seen
        self.annotations_used += other.annotations_used
        self.annotations_merged += other.annotations_merged
        self.lost_files += other.lost_files
        self.lost_annotations += other.lost_annotations
        self.backgrounds += other.backgrounds
        self.class_seen += other.class_seen
        self.class_used += other.class_used

    def to_dict(self, limit: int = 20) -> dict[str, Any]:
        """Books, counts and the first fault lines, as JSON takes them."""
        return {
            "files": {"seen": self.files_seen, "used": self.files_used, "lost": dict(self.lost_files)},
            "annotations": {
                "seen": self.annotations_seen,
                "used": self.annotations_used,
                "merged": self.annotations_merged,
                "lost": dict(self.lost_annotations),
            },
            "backgrounds": dict(self.backgrounds),
            "classes": {
                name: {"seen": seen, "used": self.class_used[name]}
                for name, seen in sorted(self.class_seen.items())
            },
            "faults": [
                {"outcome": outcome, "reason": reason, "count": count}
                for outcome, reason, count in self.counts()
            ],
            "lines": self.lines(limit),
        }
