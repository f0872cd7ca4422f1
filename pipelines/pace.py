"""How fast the tasks of a stage go, and what is left of it, in words and numbers for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipelines.pulse import Pulse

_LONG_ENOUGH = 3.0  # seconds after which a pace means something
_MEGABYTE = 1e6
COMPILING = "compiling kernels that were not used before; they are kept"


@dataclass(slots=True)
class StagePace:
    """A stage at work. sizes: bytes of the input of each task that is to be done, by name. started: by the clock that
    the caller reads."""

    started: float
    to_do: int
    up_to_date: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    n_done: int = 0
    bytes_done: int = 0

    def end(self, task: str) -> None:
        """Take in that a task is over."""
        self.n_done += 1
        self.bytes_done += self.sizes.get(task, 0)

    def share(self, pulses: Iterable[Pulse] = ()) -> float:
        """How much of the stage is behind us, from 0 to 1: by bytes where they are known, else by tasks."""
        whole = sum(self.sizes.values())
        if whole <= 0:
            return self.n_done / max(1, self.to_do)
        return min(1.0, (self.bytes_done + sum(p.read or 0 for p in pulses)) / whole)

    def seconds_left(self, now: float, pulses: Iterable[Pulse] = ()) -> float | None:
        """How long it takes from now; None where nothing tells yet."""
        share, passed = self.share(pulses), now - self.started
        return passed * (1 - share) / share if share > 0 and passed >= _LONG_ENOUGH else None

    def words(self, now: float, pulses: Iterable[Pulse] = ()) -> str:
        """What is shown of it on one line."""
        pulses = list(pulses)
        said = [f"{self.n_done} of {self.to_do} tasks"]
        if (behind := self.bytes_done + sum(p.read or 0 for p in pulses)) and now > self.started:
            said.append(_rate(behind, now - self.started))
        said += kept_words(pulses)
        if (left := self.seconds_left(now, pulses)) is not None and self.n_done < self.to_do:
            said.append(f"{duration(left)} left")
        if any(p.compiling for p in pulses):
            said.append(COMPILING)
        return ", ".join(said)


def task_words(pulse: Pulse) -> str:
    """How far one task is."""
    said: list[str] = []
    if pulse.read is not None and pulse.size > 0:
        share = min(1.0, pulse.read / pulse.size)
        said += [f"{share:4.0%} of {pulse.size / _MEGABYTE:,.1f} MB", _rate(pulse.read, pulse.seconds)]
        if 0 < share < 1 and pulse.seconds >= _LONG_ENOUGH:
            said.append(f"{duration(pulse.seconds * (1 - share) / share)} left")
    else:
        said.append(duration(pulse.seconds))
    said += kept_words([pulse])
    return ", ".join([*said, COMPILING] if pulse.compiling else said)


def kept_words(pulses: Iterable[Pulse]) -> list[str]:
    """Pages or rows that tasks at work have seen, and the share of them that stays."""
    seen = kept = other = 0
    for pulse in pulses:
        seen += pulse.counters.get("candidates", 0)
        kept += pulse.counters.get("documents", 0) if "candidates" in pulse.counters else 0
        other += pulse.counters.get("documents", 0) if "candidates" not in pulse.counters else 0
    said = [f"{seen:,} pages"] if seen else []
    if kept:  # pages are counted when they are read, and kept ones a batch later
        said.append(f"{kept / seen:.0%} kept")
    return [*said, f"{other:,} documents"] if other else said


def duration(seconds: float) -> str:
    """A time in words: `40 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _rate(n_bytes: float, seconds: float) -> str:
    return f"{n_bytes / _MEGABYTE / max(seconds, 1e-9):,.1f} MB/s"
