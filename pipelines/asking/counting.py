"""Counts over a run: documents, bytes and tokens by source, language and kind of page, and by domain.

Parts are read one after the other, and only sums are held; of domains, two million at most.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate.classifier.sites import registered_domain
from curate.why import tokens_of
from manifests.errors import InputError, RecipeError
from manifests.stage_files import StageFiles
from manifests.tables import read_table
from pipelines.asking.addresses import hosts_of_forms, loose_forms
from pipelines.asking.fates import clean_tables, files_of

_MEASURES: Final = ("documents", "bytes", "tokens")
NO_HOST: Final = "(no URL)"
_MAX_NAMES: Final = 2_000_000
"""Domains that are counted at a time; those of most pages are, should there be more."""


def stats(files: StageFiles, tasks: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Documents, bytes and tokens of the clean corpus by source, language and kind of page, most bytes first.

    tasks: Parts that are counted; None for all.
    Raises InputError where there is no clean corpus."""
    require_clean(files)
    sums: dict[tuple[Any, ...], list[int]] = {}
    names = ["source", "language", "page_type"]
    for file, table in clean_tables(files, [*names, "n_bytes"], tasks):
        for name in names:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(len(table), pa.string()))
        table = table.append_column("n_tokens", _tokens(files, file, table))
        grouped = table.group_by(names).aggregate([([], "count_all"), ("n_bytes", "sum"), ("n_tokens", "sum")])
        for row in grouped.to_pylist():
            total = sums.setdefault(tuple(row[name] for name in names), [0, 0, 0])
            for i, value in enumerate((row["count_all"], row["n_bytes_sum"], row["n_tokens_sum"])):
                total[i] += value or 0
    rows: list[dict[str, Any]] = [{**dict(zip(names, key, strict=True)), **dict(zip(_MEASURES, total, strict=True))}
                                  for key, total in sums.items()]
    return sorted(rows, key=lambda row: (-row["bytes"], str(row["source"]), str(row["language"])))


def domains(files: StageFiles, n: int = 20, by: str = "bytes", hosts: bool = False) -> list[dict[str, Any]]:
    """The domains that most of the run is of.

    Args:
        files: The run's.
        n: How many.
        by: `pages` seen, or `documents`, `bytes` or `tokens` kept.
        hosts: Whether hosts are counted, each for itself.
    Returns:
        domain, pages (extracted or left out), documents, bytes and tokens that were kept, share of all kept bytes.
    Raises:
        RecipeError: There is no such order.
    """
    if by not in ("pages", *_MEASURES):
        raise RecipeError(f"cannot order domains by {by!r}", where="--by", hint="pages, documents, bytes or tokens")
    return next(most(domain_sums(files, hosts), n, (by,)))


def domain_sums(files: StageFiles, hosts: bool = False, tasks: Sequence[str] | None = None) -> dict[str, list[int]]:
    """By domain, or host: pages, and documents, bytes and tokens that were kept.

    tasks: Parts that are counted; None for all."""
    sums: dict[str, list[int]] = {}
    for host, measures in _by_host(files, tasks):
        name = host if hosts or host == NO_HOST else _domain(host)
        total = sums.get(name)
        if total is None:
            if len(sums) >= _MAX_NAMES:
                sums = dict(sorted(sums.items(), key=lambda item: -item[1][0])[: _MAX_NAMES // 2])
            total = sums[name] = [0, 0, 0, 0]
        for i, value in enumerate(measures):
            total[i] += value
    return sums


def most(sums: Mapping[str, list[int]], n: int, orders: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    """The n domains that are first in each of some orders, as rows of `domains`."""
    all_bytes = sum(total[2] for total in sums.values()) or 1
    names = ("pages", *_MEASURES)
    for by in orders:
        i = names.index(by)
        first = heapq.nsmallest(n, sums.items(), key=lambda item: (-item[1][i], item[0]))
        yield [{"domain": name, **dict(zip(names, total, strict=True)), "share": total[2] / all_bytes}
               for name, total in first]


@lru_cache(maxsize=1 << 20)
def _domain(host: str) -> str:
    return registered_domain(host)


def _by_host(files: StageFiles, tasks: Sequence[str] | None) -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """(host, (pages, documents, bytes, tokens)) of every file: partial sums."""
    for role in ("documents", "exclusions"):
        for file in files_of(files, "extract", role, tasks):
            counts = pc.value_counts(_hosts(read_table(files.path(file), ["url"])["url"]))
            for row in counts.to_pylist():
                yield row["values"], (row["counts"], 0, 0, 0)
    for file, table in clean_tables(files, ["source", "url", "n_bytes"], tasks):
        table = pa.table({"host": _hosts(table["url"]), "n_bytes": table["n_bytes"],
                          "n_tokens": _tokens(files, file, table)})
        for row in table.group_by("host").aggregate(
                [([], "count_all"), ("n_bytes", "sum"), ("n_tokens", "sum")]).to_pylist():
            yield row["host"], (0, row["count_all"], row["n_bytes_sum"] or 0, row["n_tokens_sum"] or 0)


def _hosts(urls: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    return pc.fill_null(hosts_of_forms(loose_forms(urls)), NO_HOST)


def _tokens(files: StageFiles, file: Any, clean: pa.Table) -> pa.Array[Any]:
    """Tokens of each clean document; null where they are not encoded."""
    sources = pc.unique(clean["source"]).to_pylist()
    tokens = tokens_of(files, file, sources[0]) if len(sources) == 1 else None
    if tokens is None or tokens.n_rows != len(clean):
        return pa.nulls(len(clean), pa.int64())
    return read_table(files.path(tokens), ["n_tokens"])["n_tokens"].combine_chunks()


def require_clean(files: StageFiles) -> None:
    """Raise InputError where a run has no clean corpus."""
    if not files.of("clean", "documents"):
        raise InputError("has no clean corpus yet", where=files.storage.root, hint="`curate status` says how far it is")

