"""datatrove's way from an archive to filtered documents: run by its own interpreter, prints pages and CPU seconds.

    python documents_peer.py ARCHIVE PAGES
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import WarcReader

archive, pages = Path(sys.argv[1]), int(sys.argv[2])
steps = [Trafilatura(favour_precision=True), GopherRepetitionFilter(), GopherQualityFilter(),
         C4QualityFilter(filter_no_terminal_punct=False), FineWebQualityFilter()]


def _run(limit: int) -> int:
    documents = WarcReader(str(archive.parent), glob_pattern=archive.name, limit=limit).run()
    for step in steps:
        documents = step.run(documents)
    return sum(1 for _ in documents)


def _cpu_seconds() -> float:
    """Of this process and of the one that datatrove extracts in, which has ended when a run has."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usages)


_run(5)  # imports and models are loaded outside the measurement
started = _cpu_seconds()
kept = _run(pages)
print(f"\n{pages} {kept} {_cpu_seconds() - started:.3f}")
