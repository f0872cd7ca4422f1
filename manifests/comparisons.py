"""Where rewards and classes are read in rows of dialogues, and which answers are compared there.

InstructGPT's reward model is trained on all pairs of the K answers to a prompt in one batch element, each pair weighted
by one over their number (Ouyang et al. 2022, arXiv 2203.02155, section 3.5, equation 1). All answers to a prompt lie in
one row, so the pairs are found in it. GPT-1's tasks (Radford et al. 2018, section 3.3) are read the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manifests.dataset import PackedDataset

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Readouts:
    """Tokens of n rows at which something is read, int64 [m] each, in the order of the rows.

    row: index in the rows that were asked for. token: in the row. rank: among the answers of its group, 0 is preferred;
    the number of the order or the choice in a task; -1 without a group. group: the same number for what belongs to one
    prompt or line, -1 without. targets: what a head is trained on in a task, None elsewhere."""

    row: Int64
    token: Int64
    rank: Int64
    group: Int64
    targets: list[str | None]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Pairs of answers to one prompt, one better than the other: int64 [m] each but for the weights.

    row: index in the rows that were asked for. better, worse: tokens of the row at which the two rewards are read.
    weights: float32 [m], one over the number of pairs of the prompt."""

    row: Int64
    better: Int64
    worse: Int64
    weights: npt.NDArray[np.float32]


def readouts(dataset: PackedDataset, rows: Int64) -> Readouts:
    """Where rewards and classes are read in some rows.

    Args:
        dataset: One split of a dataset that `curate tokenizer chat` made.
        rows: int64 [n], each in [0, len); else IndexError.
    """
    found: list[tuple[int, int, int, int]] = []
    targets: list[str | None] = []
    groups: dict[bytes, int] = {}
    for index, row in enumerate(rows.tolist()):
        documents = dataset.documents(row)
        for segment in np.flatnonzero(documents.readouts >= 0).tolist():
            group_id = documents.group_ids[segment]
            group = -1 if group_id is None else groups.setdefault(group_id, len(groups))
            found.append((index, int(documents.readouts[segment]), int(documents.ranks[segment]), group))
            targets.append(documents.targets[segment])
    columns = np.array(found, np.int64).reshape(-1, 4).T
    return Readouts(columns[0], columns[1], columns[2], columns[3], targets)


def comparisons(dataset: PackedDataset, rows: Int64) -> Comparisons:
    """All pairs of answers that some rows hold, the better one first; ties are no pairs.

    Args:
        dataset: One split of a dataset that `curate tokenizer chat` made.
        rows: int64 [n], each in [0, len); else IndexError.
    """
    found = readouts(dataset, rows)
    compared = (found.group >= 0) & np.array([target is None for target in found.targets], np.bool_)
    pairs: list[tuple[int, int, int, float]] = []
    for group in np.unique(found.group[compared]).tolist():
        members = np.flatnonzero(compared & (found.group == group))
        own = [(int(found.row[i]), int(found.token[i]), int(found.token[j])) for i in members.tolist()
               for j in members.tolist() if found.rank[i] < found.rank[j]]
        pairs += [(row, better, worse, 1 / len(own)) for row, better, worse in own]
    columns = np.array([p[:3] for p in pairs], np.int64).reshape(-1, 3).T
    return Comparisons(columns[0], columns[1], columns[2], np.array([p[3] for p in pairs], np.float32))
