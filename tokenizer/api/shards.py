"""Packed shards of tokens in memory: mixed, shuffled and laid out by the stages of a run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow as pa

from manifests.arrow import as_column
from manifests.dataset import PackedDataset
from manifests.errors import InputError, OwnershipError, RecipeError
from manifests.graph import InputFile, OpenView, Source, run_in_order
from manifests.hashing import document_id
from manifests.records import RECORDS_FOLDER
from manifests.schema import ID, TOKENS
from manifests.settings import settings
from manifests.storage import Storage, digest_file
from manifests.tables import one_array, write_table
from manifests.tasks import StageTask, Work, execute
from tokenizer.encoding.encode import Encoder, load
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.mixture.stages import STAGES as MIXTURE
from tokenizer.packing.config import PackConfig
from tokenizer.packing.stages import STAGES as PACKING

SOURCE: Final = "pages"
_SHARD_TOKENS: Final = 1 << 26


@dataclass(frozen=True, slots=True)
class _Tokens:
    """What the stages ask of a source of token files."""

    kind: str = "tokens"


def pack(tokens: Any, out: str | os.PathLike[str], tokenizer: Encoder | str, *, row_length: int = 2048,
         packing: str = "concat", shard_tokens: int | None = None, buckets: int = 64,
         mixture: Mapping[str, Any] | None = None, seed: int = 0, overwrite: bool = False) -> PackedDataset:
    """Mix, shuffle and pack tokens into shards: what `curate pack` makes of the same documents.

    Args:
        tokens: What `Encoder.encode` gives, (ids, offsets), or (ids, offsets, doc_ids) with ids of 16 bytes; a list of
            those; or by the names of sources, any of these.
        out: A local folder; shards and manifests lie in its folder `packed`.
        tokenizer: The tokenizer that the ids are of, or its file.
        row_length: Tokens of a row.
        packing: How documents fill rows: concat, best_fit or pad.
        shard_tokens: Tokens of a shard, a multiple of row_length; some 2**26 by default.
        buckets: Ranges of the shuffle hash.
        mixture: The fields of a recipe's `mixture`; every source once, and nothing held out, without.
        seed: Of shuffling and of what is held out.
        overwrite: Whether a dataset that is there is replaced.
    Returns:
        The training split.
    Raises:
        InputError: Ids and offsets do not fit together, or an id is beyond the vocabulary.
        RecipeError: A setting is not valid.
        OwnershipError: There is a dataset, or a run, in the folder.
    """
    encoder = tokenizer if isinstance(tokenizer, Encoder) else load(tokenizer)
    sources = {name: _parts(value, name, encoder) for name, value in (
        tokens.items() if isinstance(tokens, Mapping) else [(SOURCE, tokens)])}
    size = shard_tokens or max(1, _SHARD_TOKENS // max(1, row_length)) * max(1, row_length)
    config = settings(PackConfig, {"row_length": row_length, "packing": packing, "shard_tokens": size,
                                   "buckets": buckets}, "pack")
    amounts = settings(MixtureConfig, mixture if mixture is not None else {
        "epochs": dict.fromkeys(sources, 1.0), "validation_fraction": 0.0}, "pack(): mixture")
    packed = Path(os.path.abspath(out)) / "packed"
    _check_free(packed, overwrite)
    if unknown := sorted(set(amounts.sources()) - set(sources)):
        raise RecipeError(f"no source is called {unknown[0]!r}", where="pack(): mixture",
                          hint=f"there are {', '.join(sources)}")
    packed.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".curate-", dir=packed.parent) as folder:
        storage = Storage(folder)
        view = OpenView(seed, _digest(config, amounts, seed), {"mixture": amounts, "pack": config},
                        [_source(name, parts, f"{folder}/in") for name, parts in sources.items()], {})
        task = StageTask("tokenizer", 0, "tokenizer", None, {}, {}, {})
        view.finish("tokenizer", {"tokenizer": execute(storage, task, _tokenizer_stage(encoder))})
        run_in_order(storage, view, [*MIXTURE, *PACKING])
        shutil.rmtree(f"{folder}/packed/{RECORDS_FOLDER}")
        if packed.exists():
            shutil.rmtree(packed)
        os.rename(f"{folder}/packed", packed)
    return PackedDataset(os.fspath(out), "train")


def _check_free(packed: Path, overwrite: bool) -> None:
    if (packed.parent / "recipe.lock.yaml").exists():
        raise OwnershipError("holds a run", where=str(packed.parent), hint="choose another folder; a run packs its own")
    if packed.exists() and not overwrite:
        raise OwnershipError("there is a dataset", where=str(packed), hint="choose another folder, or overwrite=True")


def _digest(config: PackConfig, amounts: MixtureConfig, seed: int) -> str:
    """What manifests name as the recipe: sha256 of the settings."""
    fields = {"mixture": amounts.model_dump(mode="json"), "pack": config.model_dump(mode="json"), "seed": seed}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Part:
    """Documents of a source: ids in the tokenizer's dtype, offsets int64 [n + 1], doc_ids of 16 bytes [n]."""

    ids: Any
    offsets: Any
    doc_ids: pa.Array


def _parts(tokens: Any, source: str, encoder: Encoder) -> list[_Part]:
    where = f"tokens of {source!r}"
    if isinstance(tokens, tuple):
        tokens = [tokens]
    if not isinstance(tokens, Iterable):
        raise InputError("are no (ids, offsets)", where=where, hint="give what Encoder.encode returns")
    return [_part(part, source, number, encoder, where) for number, part in enumerate(tokens)]


def _part(part: Any, source: str, number: int, encoder: Encoder, where: str) -> _Part:
    if not isinstance(part, Sequence) or len(part) not in (2, 3):
        raise InputError("are no (ids, offsets)", where=where, hint="give what Encoder.encode returns")
    try:
        ids, offsets = np.asarray(part[0]), np.asarray(part[1], np.int64)
    except (TypeError, ValueError) as error:
        raise InputError(f"are no (ids, offsets): {error}", where=where) from error
    if ids.ndim != 1 or not (np.issubdtype(ids.dtype, np.integer) or not len(ids)):
        raise InputError(f"ids are of {ids.dtype} [{', '.join(map(str, ids.shape))}], not integers [m]", where=where)
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids) or (np.diff(offsets) < 0).any():
        raise InputError("offsets do not rise from 0 to the number of ids", where=where,
                         hint="document i is ids[offsets[i]:offsets[i + 1]]")
    if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < encoder.vocab_size:
        raise InputError(f"an id is not within the {encoder.vocab_size} of the vocabulary", where=where,
                         hint="the ids are of another tokenizer")
    n = len(offsets) - 1
    known = pa.array([document_id(source, f"{number}", i) for i in range(n)], ID) if len(part) == 2 else one_array(
        as_column(part[2], "doc_ids"))
    if len(known) != n or not (pa.types.is_fixed_size_binary(known.type) or pa.types.is_binary(known.type)):
        raise InputError(f"doc_ids are {len(known)} of {known.type}, not {n} of 16 bytes", where=where)
    return _Part(ids.astype(encoder.dtype), offsets, known.cast(ID))


def _source(name: str, parts: Sequence[_Part], folder: str) -> Source:
    """A source of token files: written, so that the stages map them."""
    root = Path(folder) / name
    root.mkdir(parents=True)
    files = []
    for number, part in enumerate(parts):
        base = root / f"part-{number:06d}"
        part.ids.tofile(f"{base}.tokens")
        table = pa.table([part.doc_ids, part.offsets[:-1], np.diff(part.offsets), pa.nulls(len(part.doc_ids), ID)],
                         schema=TOKENS)
        write_table(f"{base}.parquet", TOKENS, [table])
        files += [f"{base}.parquet", f"{base}.tokens"]
    return Source(name, tuple(InputFile(path, os.path.basename(path), os.path.getsize(path), digest_file(path))
                              for path in files), _Tokens())


def _tokenizer_stage(encoder: Encoder) -> Any:
    def write(_: Any, work: Work) -> None:
        Path(work.output("tokenizer", ".json")).write_bytes(encoder.data)
    return write
