"""What a threshold would do to a finished run: histograms of stored signals, shares dropped, texts on either side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.heuristics.signals import EXTERNAL
from curate.heuristics.stages import FOLDERS
from manifests.errors import InputError
from manifests.part_paths import part_name
from manifests.schema import SIGNAL_PREFIX
from manifests.storage import Storage
from manifests.suggestion import meant_or_listed
from manifests.tables import open_table

_SCORE: Final = "quality_score"
_BINS: Final = 20
_SHOWN: Final = 160  # characters of an example


@dataclass(frozen=True, slots=True)
class Values:
    """A signal of every document of a run. values: float32 [n], in the order of parts; parts: (path, rows) of each."""

    name: str
    values: npt.NDArray[np.float32]
    parts: list[tuple[str, int]]


def signal_names(run: str) -> list[str]:
    """Signals that a run stores, and `quality_score` where it has one; raises InputError where it has no documents."""
    storage = Storage(run)
    parts = _parts(storage, "extract")
    with open_table(storage.path(parts[0])) as file:
        names = [n.removeprefix(SIGNAL_PREFIX) for n in file.schema_arrow.names if n.startswith(SIGNAL_PREFIX)]
    external = [p for p in storage.list("signals") if p.endswith(".parquet") and _depth(p) == 3
                and PurePosixPath(p).name.startswith("part-")]
    if external:
        with open_table(storage.path(sorted(external)[0])) as file:
            names += [n.removeprefix(SIGNAL_PREFIX) for n in file.schema_arrow.names if n.startswith(SIGNAL_PREFIX)]
    return [*names, *_of_plugins(storage), *([_SCORE] if storage.exists("select/manifest.parquet") else [])]


def read_values(run: str, name: str) -> Values:
    """A signal of every extracted document of a run.

    Args:
        run: The run's folder.
        name: A signal that the run stores, without `signal_`, or `quality_score`.
    Returns:
        Its values, in the order of parts.
    Raises:
        InputError: The run stores no such signal; the hint names those that it does.
    """
    known = signal_names(run)
    if name not in known:
        raise InputError(f"the run stores no signal {name!r}", where=run,
                         hint=meant_or_listed(name, known, "it stores"))
    storage = Storage(run)
    folder, column = "signals" if name in EXTERNAL else "extract", SIGNAL_PREFIX + name
    if name in _of_plugins(storage):
        folder = f"signals/{name}"
    if name == _SCORE:
        folder, column = "select", name
    parts, values = [], []
    for path in _parts(storage, folder):
        with open_table(storage.path(path)) as file:
            stored = file.read(columns=[column], use_threads=False)[column].to_numpy()
        values.append(stored.astype(np.float32))
        parts.append((str(PurePosixPath("extract") / PurePosixPath(path).relative_to(folder)), len(stored)))
    return Values(name, np.concatenate(values), parts)


def _of_plugins(storage: Storage) -> list[str]:
    """Signals of plug-ins, which have folders of their own."""
    return sorted({PurePosixPath(p).parts[1] for p in storage.list("signals") if _depth(p) == 4
                   and PurePosixPath(p).name.startswith("part-") and p.endswith(".parquet")
                   and PurePosixPath(p).parts[1] not in FOLDERS})


def _parts(storage: Storage, folder: str) -> list[str]:
    """Parts of a stage, one level down: not its exclusions, cut-offs or manifest."""
    depth = len(PurePosixPath(folder).parts) + 2
    parts = [p for p in storage.list(folder) if p.endswith(".parquet") and _depth(p) == depth
             and PurePosixPath(p).name.startswith("part-")]
    if not parts:
        storage.must_exist()
        raise InputError(f"holds no parts under {folder}/: it is no run, or it stopped before them",
                         where=str(storage.path("")))
    return sorted(parts, key=part_name)


def _depth(path: str) -> int:
    return len(PurePosixPath(part_name(path)).parts)


def overview(run: str) -> list[dict[str, Any]]:
    """JSON-ready quantiles of every signal of a run."""
    rows = []
    for name in signal_names(run):
        values = read_values(run, name).values
        seen = values[~np.isnan(values)]
        points = np.quantile(seen, [0.01, 0.1, 0.5, 0.9, 0.99]) if len(seen) else np.full(5, np.nan)
        labels = ("p01", "p10", "p50", "p90", "p99")
        rows.append({"signal": name, **{k: round(float(v), 6) for k, v in zip(labels, points, strict=True)}})
    return rows


def histogram(values: npt.NDArray[np.float32], bins: int = _BINS) -> list[dict[str, Any]]:
    """JSON-ready bins of equal width between the 1st and the 99th percentile; the outer ones take the rest."""
    seen = values[~np.isnan(values)]
    if not len(seen):
        return []
    low, high = (float(v) for v in np.quantile(seen, [0.01, 0.99]))
    if low == high:
        low, high = float(seen.min()), float(seen.max())
    if low == high:
        return [{"from": low, "to": high, "documents": len(seen)}]
    edges = np.linspace(low, high, bins + 1)
    counts = np.bincount(np.clip(np.searchsorted(edges, seen, "right") - 1, 0, bins - 1), minlength=bins)
    return [{"from": float(a), "to": float(b), "documents": int(n)}
            for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True)]


def at_threshold(signal: Values, threshold: float) -> dict[str, Any]:
    """JSON-ready: documents below and above a threshold, compared as float32, and their shares of all."""
    limit, n = np.float32(threshold), max(1, len(signal.values))
    below, above = int((signal.values < limit).sum()), int((signal.values > limit).sum())
    return {"threshold": threshold, "dropped_by_at_least": below, "share_by_at_least": below / n,
            "dropped_by_at_most": above, "share_by_at_most": above / n}


def examples(run: str, signal: Values, threshold: float, n: int = 3) -> dict[str, list[dict[str, Any]]]:
    """The documents nearest to a threshold, on either side; of equal ones the first.

    Args:
        run: The run's folder.
        signal: Its values.
        threshold: Compared as float32.
        n: How many of each side.
    Returns:
        JSON-ready: documents `below` it, and at it or `above`.
    """
    limit = np.float32(threshold)
    distance = np.abs(signal.values - limit)
    sides = {"below": signal.values < limit, "above": signal.values >= limit}
    chosen = {}
    for side, mask in sides.items():
        rows = np.flatnonzero(mask)
        chosen[side] = rows[np.argsort(distance[rows], kind="stable")[:n]]
    return {side: [_example(Storage(run), signal, int(row)) for row in rows] for side, rows in chosen.items()}


def _example(storage: Storage, signal: Values, row: int) -> dict[str, Any]:
    value = float(signal.values[row])
    bounds = np.cumsum([n for _, n in signal.parts])
    part = int(np.searchsorted(bounds, row, "right"))
    path, row = signal.parts[part][0], row - int(bounds[part] - signal.parts[part][1])
    with open_table(storage.path(path)) as file:
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).num_rows
            if row < size:
                table = file.read_row_group(group, columns=["doc_id", "url", "text"], use_threads=False)
                break
            row -= size
    document = table.slice(row, 1).to_pylist()[0]
    text = " ".join(document["text"][: 4 * _SHOWN].split())
    return {"value": value, "doc_id": document["doc_id"].hex(), "url": document["url"],
            "text": text if len(text) <= _SHOWN else text[:_SHOWN] + "…"}


def bars(rows: Sequence[dict[str, Any]], width: int = 40) -> list[str]:
    """A histogram as lines of text."""
    most = max((row["documents"] for row in rows), default=1) or 1
    return [f"{row['from']:>12.5g} {'█' * math.ceil(width * row['documents'] / most):<{width}} {row['documents']:,}"
            for row in rows]
