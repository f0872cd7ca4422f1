"""Which bytes lie in a run that stands twice, by a suffix array, in a process of its own with pydivsufsort.

    python substrings_peer.py FOLDER SIZE

FOLDER/texts.bin: UTF-8 texts with 0xFF between them. Writes FOLDER/spans.npy, int64 [n, 2], and prints what it took."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from pydivsufsort import divsufsort, kasai


def main() -> None:
    folder, size = Path(sys.argv[1]), int(sys.argv[2])
    data = np.fromfile(folder / "texts.bin", np.uint8)
    start = time.process_time()
    suffixes = divsufsort(data)
    common = np.asarray(kasai(data, suffixes))  # of each suffix and the next one in order
    long = np.zeros(len(data), bool)
    twice = common[: len(data) - 1] >= size
    long[suffixes[:-1][twice]] = True
    long[suffixes[1:][twice]] = True
    places = np.flatnonzero(long)
    # A run never reaches over the byte between texts, unless what stands there is alike: leave such out.
    breaks = np.flatnonzero(data == 0xFF)
    after = np.append(breaks, len(data))[np.searchsorted(breaks, places)]
    places = places[places + size <= after]
    edges = np.zeros(len(data) + 1, np.int32)
    edges[places] += 1
    np.add.at(edges, places + size, -1)
    inside = np.concatenate(([False], np.cumsum(edges[:-1]) > 0, [False]))
    change = np.flatnonzero(inside[1:] != inside[:-1])
    seconds = time.process_time() - start
    np.save(folder / "spans.npy", change.reshape(-1, 2).astype(np.int64))
    print(json.dumps({"seconds": seconds, "megabytes": len(data) / 1e6,
                      "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))


if __name__ == "__main__":
    main()
