"""Pre-tokens of texts in memory, counted on threads: what tests and benchmarks train tokenizers on."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue

import pyarrow as pa

from tokenizer.bpe.words import WordTable
from tokenizer.encoding.patterns import Pattern


def count_texts(texts: Iterable[pa.Array], pattern: Pattern, threads: int = 1) -> pa.Table:
    """Counts (WORDS) of large_string texts, in no defined order, on so many threads; memory for distinct words only."""
    free: SimpleQueue[WordTable] = SimpleQueue()
    tables = [WordTable() for _ in range(threads)]
    for table in tables:
        free.put(table)

    def count(array: pa.Array, table: WordTable) -> None:
        try:
            table.count_texts(array, pattern)
        finally:
            free.put(table)

    running: list[Future[None]] = []
    with ThreadPoolExecutor(threads) as pool:
        for array in texts:
            running.append(pool.submit(count, array, free.get()))
            while running and running[0].done():
                running.pop(0).result()
        for future in running:
            future.result()
    for table in tables[1:]:
        tables[0].add(table.table())
    return tables[0].table()
