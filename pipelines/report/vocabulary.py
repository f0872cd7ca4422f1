"""What a report says of a vocabulary: its longest tokens, and those that the packed data never uses."""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np

from manifests.shard import read_row
from manifests.stage_files import StageFiles
from manifests.tables import read_table

_LONGEST: Final = 20
_MAX_TOKENS: Final = 20_000_000
_UNUSED: Final = 20


def vocabulary(files: StageFiles) -> dict[str, Any]:
    """`longest_tokens`; `unused`, how many tokens occur in none of the packed rows that were read, with some of them;
    `read_tokens`, how many tokens those rows hold. Nothing where the run has no tokenizer of its own."""
    data = files.storage.read_bytes("tokenizer/tokenizer.json")
    if data is None:
        return {}
    vocab = _vocab(data)
    longest = sorted(vocab, key=lambda token: (-len(token), token))[:_LONGEST]
    facts: dict[str, Any] = {"longest_tokens": [_readable(token) for token in longest]}
    used, read = _used(files, max(vocab.values(), default=-1) + 1)
    if read:
        unused = [token for token, number in sorted(vocab.items(), key=lambda item: item[1]) if not used[number]]
        facts |= {"read_tokens": read, "unused": len(unused),
                  "unused_tokens": [_readable(token) for token in unused[-_UNUSED:]]}
    return facts


def _vocab(data: bytes) -> dict[str, int]:
    try:
        model = json.loads(data)["model"]["vocab"]
    except (ValueError, TypeError, KeyError):
        return {}
    return {str(token): int(number) for token, number in model.items()} if isinstance(model, dict) else {}


def _used(files: StageFiles, n: int) -> tuple[np.ndarray, int]:
    """(whether each token occurs, tokens read): rows spread evenly over the training shards."""
    used, read = np.zeros(n, np.bool_), 0
    name = "packed/manifest.parquet"
    if not files.storage.exists(name) or not files.storage.local:
        return used, read
    shards = [s for s in read_table(files.storage.path(name)).to_pylist() if s["split"] == "train"]
    wanted = max(1, -(-sum(s["n_tokens"] for s in shards) // _MAX_TOKENS))
    for shard in shards:
        for row in range(0, shard["n_rows"], wanted):
            _, tokens = read_row(files.storage.path(f"packed/{shard['path']}"), row)
            used[np.asarray(tokens)[tokens < n]] = True
            read += len(tokens)
    return used, read


def _readable(token: str) -> str:
    """A token of a byte-level vocabulary as text: each of its characters stands for a byte (GPT-2's table)."""
    try:
        return bytes(_BYTES[character] for character in token).decode("utf-8", "replace")
    except KeyError:
        return token


def _byte_table() -> dict[str, int]:
    """GPT-2's characters for bytes (Radford et al. 2019, encoder.py): printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}


_BYTES: Final = _byte_table()
