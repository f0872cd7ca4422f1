"""Encoding by `tokenizers`, which defines what is right: any tokenizer.json, in bounded memory.

A batch holds a megabyte of text, and a longer document is cut where no token can cross, since `tokenizers` takes some
170 bytes of memory for one of text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer

from manifests.errors import InputError
from manifests.tables import string_buffers
from tokenizer.encoding.checks import parse_tokenizer
from tokenizer.encoding.patterns import EXPRESSIONS

BATCH_BYTES: Final = 1 << 20
_CUT_BYTES: Final = 1 << 18  # where a long document may be cut, the next such offset after so many bytes is taken

Offsets = npt.NDArray[np.int64]
Ids32 = npt.NDArray[np.uint32]


class Reference:
    """A tokenizer.json in `tokenizers`, for which special tokens in text are text.

    special: ids by name of the special tokens. tokenizer: as the file says, but for that. text_config: what texts are
    encoded by, where special tokens may have other names."""

    def __init__(self, data: bytes, where: str) -> None:
        config = parse_tokenizer(data, where)
        try:
            self.tokenizer = _load(data)
        except BaseException as error:  # the Rust library raises a bare Exception, and a panic is none
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise InputError(f"is not a tokenizer.json: {error}", where=where) from error
        self.config: dict[str, Any] = config
        names = [str(t["content"]) for t in config.get("added_tokens") or [] if t.get("special")]
        self.special: dict[str, int] = {name: self.tokenizer.token_to_id(name) for name in names}
        self.text_config: dict[str, Any] = config
        self._encoder, self._where = self.tokenizer, where
        if self._spelt(self.special):
            self._without_special(where)
        self._cuts = _may_be_cut(config)

    def encode(self, texts: pa.Array) -> tuple[Ids32, Offsets]:
        """uint32 ids of every text, joined, and where each begins. texts: string or large_string without nulls."""
        rows: list[Ids32] = []
        lengths: list[int] = []
        strings = texts.cast(pa.large_string())
        for first, end in _batches(strings):
            if end - first == 1 and self._cuts:
                fragments = split_text(np.frombuffer(strings[first].as_buffer(), np.uint8))
                parts = [ids for fragment in fragments for ids in self._encode([str(fragment, "utf-8")])]
                encoded = [np.concatenate(parts) if parts else np.empty(0, np.uint32)]
            else:
                encoded = self._encode(strings.slice(first, end - first).to_pylist())
            rows += encoded
            lengths += map(len, encoded)
        offsets = np.zeros(len(texts) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return (np.concatenate(rows) if rows else np.empty(0, np.uint32)), offsets

    def encode_offsets(self, text: str) -> Any:
        """The encoding of one text as `tokenizers` gives it, with the characters that each token covers."""
        with self._named():
            return self._encoder.encode(text, add_special_tokens=False)

    def _encode(self, texts: list[str]) -> list[Ids32]:
        with self._named():
            encoded = self._encoder.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(e.ids, np.uint32) for e in encoded]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """What the library raises over a text, a bare Exception or a panic, as an error of the tokenizer's file."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException as error:
            if isinstance(error, Exception) or type(error).__name__ == "PanicException":
                raise InputError(f"cannot encode a text: {error}", where=self._where) from error
            raise

    def _spelt(self, special: dict[str, int]) -> bool:
        """Whether the model itself makes a special token of its name in text, as word and unigram models do."""
        unknown = self.config["model"].get("unk_token")
        names = [name for name in special if name != unknown]
        return any(special[name] in ids for name, ids in zip(names, self._encode(names), strict=True))

    def _without_special(self, where: str) -> None:
        """Encode by a tokenizer whose model has other names for its special tokens, so that no text spells one."""
        config = json.loads(json.dumps(self.config))
        model, unknown = config["model"], config["model"].get("unk_token")
        config["added_tokens"] = [t for t in config["added_tokens"] if not t.get("special")]
        config["post_processor"] = None
        names = {name: f"\x00special {i}\x00" for name, i in self.special.items() if name != unknown}
        if isinstance(model["vocab"], dict):
            model["vocab"] = {names.get(token, token): i for token, i in model["vocab"].items()}
        else:
            model["vocab"] = [[names.get(token, token), score] for token, score in model["vocab"]]
        try:
            self._encoder = _load(json.dumps(config).encode())
        except Exception as error:
            raise InputError(f"makes special tokens of their names in text: {error}", where=where) from error
        moved = [t["content"] for t in config["added_tokens"] if self._encoder.token_to_id(t["content"]) != t["id"]]
        if self._spelt(self.special) or moved:
            raise InputError("makes special tokens of their names in text", where=where)
        self.text_config = config


def _load(data: bytes) -> Any:
    tokenizer = Tokenizer.from_str(data.decode())
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _batches(strings: pa.Array) -> Iterator[tuple[int, int]]:
    """Ranges of texts of together at most BATCH_BYTES, or of one text."""
    if not len(strings):
        return
    _, offsets = string_buffers(strings)
    first = 0
    while first < len(strings):
        end = int(np.searchsorted(offsets, offsets[first] + BATCH_BYTES, "right")) - 1
        yield first, (end := min(max(end, first + 1), len(strings)))
        first = end


def split_text(data: npt.NDArray[np.uint8]) -> Iterator[memoryview]:
    """UTF-8 text in fragments that begin with a space after an ASCII letter: every known pattern splits there, whatever
    the text around it. A stretch without such an offset is one fragment."""
    start, view = 0, data.data
    while start < len(data):
        end, window = start + _CUT_BYTES, _CUT_BYTES
        cut = len(data)
        while end < len(data):
            part = data[end - 1 : end + window]
            letters = (part[:-1] | 0x20) - np.uint8(97) < 26
            spaces = np.flatnonzero(letters & (part[1:] == 32))
            if len(spaces):
                cut = end + int(spaces[0])
                break
            end, window = end + window, window * 2
        yield view[start:cut]
        start = cut


def _may_be_cut(config: dict[str, Any]) -> bool:
    """Whether a tokenizer's ids of a text are those of its fragments: its pattern is known, it changes no text but by
    Unicode's forms, and no added token can span such an offset."""
    normalizer, cut = config.get("normalizer"), config.get("pre_tokenizer") or {}
    if normalizer is not None and normalizer.get("type") not in ("NFC", "NFD", "NFKC", "NFKD"):
        return False
    steps = cut.get("pretokenizers", [cut])
    if steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return False
    known = steps[-1].get("use_regex", True) if len(steps) == 1 else (
        len(steps) == 2 and steps[0].get("type") == "Split" and not steps[0].get("invert")
        and steps[0].get("behavior") == "Isolated" and steps[0]["pattern"].get("Regex") in EXPRESSIONS.values())
    held = [t for t in config.get("added_tokens") or [] if not t.get("special")]
    return bool(known) and not any(" " in t["content"][1:] or t.get("rstrip") for t in held)
