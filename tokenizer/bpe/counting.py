"""Pre-tokens and how often each occurs in the sample: counted part by part, added up partition by partition.

What a process holds grows with the distinct pre-tokens alone, and a part's with a budget: beyond it the counts so far
are written out. The kernels' cuts are compared with those of `tokenizers` on the beginning of every part; one
difference, and the reference counts the whole part, which its counters show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.partitioned import SUFFIX, read_partition, write_partitions
from manifests.tables import one_array, read_row_groups
from manifests.tasks import Work
from tokenizer.bpe.pretokenize import pre_tokenizer
from tokenizer.bpe.sampling import document_bins, read_cutoffs
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.bpe.words import WORDS, WordTable
from tokenizer.encoding.patterns import Pattern
from tokenizer.encoding.token_bytes import byte_alphabet

COUNTED: Final = pa.schema([pa.field("hash", pa.uint64(), nullable=False), *WORDS])
_CHECK_BYTES: Final = 1 << 16
_GROUP_ROWS: Final = 1 << 20


def count_words(config: TokenizerConfig, work: Work) -> None:
    """tokenizer/counts: pre-tokens of a clean part's sampled documents.

    Inputs: documents, cutoffs. Variables: source, seed. Output: counts (COUNTED), partitioned by the words' hash; a
    word may stand in a partition several times. Counters: documents, bytes, words (written), pretokens, spills, and
    reference_counts, 1 where the kernels and `tokenizers` cut differently and the reference counted."""
    part = _Part(config, work)
    table = WordTable()
    reference = not part.agrees()

    def spilled() -> Iterator[pa.Table]:
        nonlocal table
        for texts in part.texts():
            if reference:
                table.add(reference_counts(texts, part.pattern))
            else:
                table.count_texts(texts, part.pattern)
            if table.n_bytes > config.count_memory_bytes:
                work.count("spills", 1)
                yield _by_hash(table)
                table = WordTable()
        yield _by_hash(table)

    path = work.output("counts", name=f"counts/{work.task.name}{SUFFIX}")
    n_words = write_partitions(path, COUNTED, map(part.count, spilled()), "hash")
    work.count("documents", part.n_documents)
    work.count("bytes", part.n_bytes)
    work.count("words", n_words)
    work.count("pretokens", part.n_pretokens)
    work.count("reference_counts", int(reference))


class _Part:
    """The sampled documents of one clean part."""

    def __init__(self, config: TokenizerConfig, work: Work) -> None:
        self.pattern = Pattern(config.pattern)
        self._path = work.input("documents")
        self._seed = int(work.variables["seed"])
        self._end = read_cutoffs(work.input("cutoffs")).get(str(work.variables["source"]), 0)
        self._limit = config.sample_bytes
        self.n_documents = self.n_bytes = self.n_pretokens = 0

    def texts(self) -> Iterator[pa.Array]:
        """large_string arrays of the sampled texts, one a row group."""
        self.n_documents = self.n_bytes = 0
        for group in read_row_groups(self._path, ["doc_id", "n_bytes", "text"]):
            n_bytes = group["n_bytes"].to_numpy()
            taken = document_bins(self._seed, group["doc_id"]) < self._end
            if self._limit is not None:
                taken &= n_bytes <= self._limit
            if taken.any():
                self.n_documents += int(taken.sum())
                self.n_bytes += int(n_bytes[taken].sum())
                column: Any = one_array(group["text"])
                yield column if taken.all() else column.filter(pa.array(taken))

    def agrees(self) -> bool:
        """Whether kernels and `tokenizers` count the beginning of the first texts alike."""
        texts = next(self.texts(), None)
        return texts is None or counts_agree(texts, self.pattern)

    def count(self, table: pa.Table) -> pa.Table:
        self.n_pretokens += pc.sum(table["n"]).as_py() or 0
        return table


def counts_agree(texts: pa.Array, pattern: Pattern) -> bool:
    """Whether kernels and `tokenizers` count the beginning of the first of some large_string texts alike."""
    first = pc.utf8_slice_codeunits(texts.slice(0, 64), 0, _CHECK_BYTES // 64)
    counted = WordTable()
    counted.count_texts(first, pattern)
    words, expected = (t.sort_by("word") for t in (counted.table(), reference_counts(first, pattern)))
    return bool(words.equals(expected))


def _by_hash(table: WordTable) -> pa.Table:
    """COUNTED in the order of the words' hashes: nothing is left of the texts' own order."""
    order = np.argsort(table.hashes, kind="stable")
    words = table.table().add_column(0, COUNTED.field("hash"), pa.array(table.hashes))
    return words.take(pa.array(order)).cast(COUNTED)


def add_words(config: TokenizerConfig, work: Work) -> None:
    """tokenizer/words: one partition of the words of all parts, each once.

    Input: counts (all parts). Variables: partition. Output: words (WORDS), by word. Counters: words, and
    rare_words and rare_pretokens, those left out by min_word_count."""
    total = WordTable()
    own = int(work.variables["partition"]), config.word_partitions
    for path in work.inputs("counts"):
        total.add(read_partition(path, COUNTED, *own).select(WORDS.names))
    words = total.table()
    kept = words.filter(pc.greater_equal(words["n"], config.min_word_count)).sort_by("word")
    work.write("words", WORDS, (kept.slice(i, _GROUP_ROWS) for i in range(0, len(kept), _GROUP_ROWS)))
    work.count("words", len(kept))
    work.count("rare_words", len(words) - len(kept))
    work.count("rare_pretokens", (pc.sum(words["n"]).as_py() or 0) - (pc.sum(kept["n"]).as_py() or 0))


def reference_counts(texts: pa.Array, pattern: Pattern) -> pa.Table:
    """The same counts (WORDS) by `tokenizers`, some fifty times slower: what the kernels must equal."""
    cut, byte_of = pre_tokenizer(pattern), {letter: byte for byte, letter in enumerate(byte_alphabet())}
    counts = Counter(word for text in texts.to_pylist() for word, _ in cut.pre_tokenize_str(text))
    words = [bytes(map(byte_of.__getitem__, word)) for word in counts]
    return pa.table([pa.array(words, pa.large_binary()), pa.array(counts.values(), pa.int64())], schema=WORDS)
