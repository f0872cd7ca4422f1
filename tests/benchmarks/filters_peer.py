"""datatrove's FineWeb filters on a Parquet file of texts; runs in an environment of its own (`make bench-filters`).

    python filters_peer.py TEXTS.parquet OUT.json
"""

from __future__ import annotations

import json
import sys
import time

import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)


def main() -> None:
    """Write each text's reason (null where kept), the edited texts of what stays, and CPU seconds."""
    texts = pq.read_table(sys.argv[1], columns=["text"])["text"].to_pylist()
    filters = [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(filter_no_terminal_punct=False),
               FineWebQualityFilter()]
    for one in filters:  # the first call loads the tokenizer
        one.filter(Document(text="A first text, to load what is loaded once.", id=""))
    reasons, edited = [], []
    started = time.process_time()
    for text in texts:
        document = Document(text=text, id="")
        reason = None
        for one in filters:
            verdict = one.filter(document)
            if verdict is not True:
                reason = verdict[1]
                break
        reasons.append(reason)
        edited.append(document.text if reason is None else None)
    seconds = time.process_time() - started
    with open(sys.argv[2], "w", encoding="utf-8") as stream:
        json.dump({"reasons": reasons, "texts": edited, "seconds": seconds}, stream)


if __name__ == "__main__":
    main()
