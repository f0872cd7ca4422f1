"""Text to token ids and back, from one tokenizer.json: a fast encoder that is checked, and the reference it must equal.

`tokenizers` defines what is right. `gigatoken` gives the same ids some fifty times as fast and reads Arrow's buffers
without a copy, but it is young: `encode` uses it, callers compare samples with `encode_reference`, and a difference
sends them back to the reference. Texts with characters that only gigatoken's newer Unicode knows go to the reference
whatever happens. Special tokens are never recognised in text: a page that spells `<|endoftext|>` is
encoded as those characters.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from manifests.errors import InputError
from manifests.late_imports import absent
from manifests.shard import Tokens, token_dtype
from manifests.tables import string_buffers
from tokenizer.encoding.formats import END_OF_TEXT, read_tokenizer, tokenizer_files
from tokenizer.encoding.reference import Reference
from tokenizer.encoding.strings import as_strings, rows_with_unassigned
from tokenizer.encoding.token_bytes import TokenBytes, byte_alphabet

__all__ = ["END_OF_TEXT", "Encoder", "Ids", "Offsets", "byte_alphabet", "load", "load_decoder"]

"""What the tokenizers trained here call it, as GPT-2 does."""
_END_OF_TEXT_NAMES = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>",  # GPT-2, Llama 3, Llama 1 and 2, Gemma
                      "<｜end▁of▁sentence｜>", "[EOS]", "[SEP]")  # noqa: RUF001 (DeepSeek), Kimi, BERT
_PROBE = "Grüße,  it's 2 naïve\n\tcafés 😀 \u00a0 123,456\r\n中文"
_RENEW_TEXT_BYTES: Final = 256 << 20
_RENEW_MEMORY_BYTES: Final = 1 << 30

Ids = Tokens
Offsets = npt.NDArray[np.int64]


class Encoder:
    """One tokenizer, loaded. dtype: uint16 or uint32, what its ids are stored in. data: its tokenizer.json, and sha256
    of that. lossless: whether decoding gives every text back; byte-level vocabularies do. distrusted: why the fast
    encoder is not used, where it could be loaded and gave other ids than the reference. texts_apart: how many texts
    `encode` left to the reference so far, for a character that it does not know.

    Args:
        data: The tokenizer.json.
        where: The file's name, for errors.
        fast: Whether to load the fast encoder, which takes a quarter of a second; decoding needs none.
    Raises:
        InputError: The data are not a tokenizer.json, or its model makes special tokens of their names in text.
    """

    def __init__(self, data: bytes, where: str, fast: bool = True) -> None:
        self._reference = Reference(data, where)
        self.data, self._where = data, where
        vocab = self._reference.tokenizer.get_vocab(with_added_tokens=True)
        self.vocab_size = max(vocab.values()) + 1
        self.dtype = token_dtype(self.vocab_size)
        self.sha256 = hashlib.sha256(data).digest()
        self.vocabulary: Mapping[str, int] = vocab
        config = self._reference.config
        added = frozenset(str(t["content"]) for t in config.get("added_tokens") or [])
        self.byte_level = any('"ByteLevel"' in json.dumps(config.get(name)) for name in ("pre_tokenizer", "decoder"))
        self._token_bytes = TokenBytes(vocab, added) if self.byte_level else None
        probe = self._reference.encode(pa.array([_PROBE]))[0]
        self.lossless = self.decode_bytes(probe) == _PROBE.encode()
        self.distrusted: str | None = None
        self.texts_apart = 0
        self._fast = _load_fast(self._reference.text_config) if fast else None
        self._since_renewal, self._memory = 0, _resident_bytes()
        if self._fast is not None:
            self._try_fast()

    @property
    def fast(self) -> bool:
        """Whether the fast encoder is used for this tokenizer."""
        return self._fast is not None

    @property
    def eot_id(self) -> int:
        """The end-of-text token's id. Raises InputError where the vocabulary has none by a name that is known."""
        for name in _END_OF_TEXT_NAMES:
            if name in self.vocabulary:
                return self.vocabulary[name]
        raise InputError("the vocabulary has no end-of-text token", where=self._where,
                         hint=f"add one of {', '.join(_END_OF_TEXT_NAMES)} as a special token")

    @property
    def unknown_id(self) -> int | None:
        """The id of text that the vocabulary has no token for; byte-level vocabularies have none."""
        model = self._reference.config["model"]
        name = model.get("unk_token")
        unknown = self.vocabulary.get(name) if name is not None else model.get("unk_id")
        return None if unknown is None else int(unknown)

    @property
    def special_tokens(self) -> Mapping[str, int]:
        """Ids of the special tokens by name; no text is encoded to one."""
        return self._reference.special

    def encode(self, texts: Any) -> tuple[Ids, Offsets]:
        """Ids of every text, joined, and where each begins. No token is added.

        Args:
            texts: An Arrow array of strings, chunked or not, a polars or pandas column, or a list; a null is an empty
                text.
        Returns:
            (ids, offsets): ids uint16 or uint32 [m], as `dtype` says, and offsets int64 [n + 1]. Text i is
            ids[offsets[i]:offsets[i + 1]].
        Raises:
            TypeError: The argument is no column of strings.
            InputError: A text is not UTF-8.
        """
        strings = as_strings(texts)
        fast = self._fast  # another thread may be renewing it
        if fast is None or not len(strings):
            return self._by_reference(strings)
        layout = fast.encode_batch(_awkward_strings(strings), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        ids: Ids = np.asarray(layout.content.data[offsets[0] : offsets[-1]]).astype(self.dtype)
        del layout
        self._renew(strings.nbytes)
        rows = rows_with_unassigned(strings)
        self.texts_apart += len(rows)
        offsets = offsets - offsets[0]
        return _replaced(ids, offsets, rows, *self._by_reference(strings.take(pa.array(rows)))) if len(rows) else (
            ids, offsets)

    def encode_reference(self, texts: Any) -> tuple[Ids, Offsets]:
        """The same through `tokenizers`: what `encode` must equal.

        Args:
            texts: As `encode` takes them.
        Returns:
            (ids, offsets), as `encode` gives them.
        Raises:
            TypeError, InputError: As `encode`.
        """
        return self._by_reference(as_strings(texts))

    def _by_reference(self, strings: pa.Array) -> tuple[Ids, Offsets]:
        ids, offsets = self._reference.encode(strings)
        return ids.astype(self.dtype), offsets

    def encode_offsets(self, text: str) -> Any:
        """The reference's encoding of one text: `ids`, and `offsets`, the characters that each covers."""
        return self._reference.encode_offsets(text)

    def byte_lengths(self, ids: Ids) -> Offsets:
        """UTF-8 bytes that each id stands for, int64 [m]. Byte-level vocabularies alone have them; else ValueError."""
        if self._token_bytes is None:
            raise ValueError("not a byte-level vocabulary")
        lengths: Offsets = self._token_bytes.lengths[ids]
        return lengths

    def distrust(self, reason: str) -> None:
        """Use the reference alone from now on, in this process: the fast encoder was wrong."""
        self._fast, self.distrusted = None, reason

    def decode_bytes(self, ids: Any) -> bytes:
        """UTF-8 bytes of ids; special tokens give their names. Of byte-level vocabularies exact even where ids end
        inside a character.

        Args:
            ids: Integers [m], a list or an array.
        Raises:
            IndexError: An id lies beyond a byte-level vocabulary.
        """
        if self._token_bytes is not None:
            return self._token_bytes.join(ids)
        return str(self._reference.tokenizer.decode(np.asarray(ids).tolist(), skip_special_tokens=False)).encode()

    @overload
    def decode(self, ids: Any) -> str: ...
    @overload
    def decode(self, ids: Any, offsets: Offsets) -> pa.Array: ...
    def decode(self, ids: Any, offsets: Offsets | None = None) -> Any:
        """Text of ids; a character that is cut at either end becomes U+FFFD.

        Args:
            ids: Integers [m], a list or an array.
            offsets: int64 [n + 1], where each text begins in the ids; None: all ids are one text.
        Returns:
            A string; with offsets, large_string [n] of ids[offsets[i]:offsets[i + 1]].
        Raises:
            IndexError: An id lies beyond a byte-level vocabulary.
        """
        if offsets is None:
            return self.decode_bytes(ids).decode("utf-8", "replace")
        bounds = np.asarray(offsets, np.int64)
        if self._token_bytes is not None:
            texts = self._token_bytes.texts(ids, bounds)
            try:
                return texts.cast(pa.large_string())
            except pa.ArrowInvalid:  # a character was cut
                return pa.array([p.decode("utf-8", "replace") for p in texts.to_pylist()], pa.large_string())
        numbers = np.asarray(ids)
        rows = [numbers[a:b] for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]
        return pa.array([self.decode_bytes(row).decode() for row in rows], pa.large_string())

    def _try_fast(self) -> None:
        """Encode a few texts by both, names of special tokens among them; distrust the fast encoder on a difference."""
        names = list(self.special_tokens)
        texts = pa.array([_PROBE, "", " ", *names, *(f"a{name}b" for name in names[:64]), "".join(names)])
        expected, bounds = self.encode_reference(texts)
        try:
            ids, offsets = self.encode(texts)
        except BaseException as error:  # a panic of the Rust library is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            return self.distrust(f"the fast encoder failed: {error}")
        if not (np.array_equal(ids, expected) and np.array_equal(offsets, bounds)):
            self.distrust("the fast encoder gives other ids than tokenizers on a test string")

    def _renew(self, n_bytes: int) -> None:
        """Load the fast encoder anew when its cache of pre-tokens, which nothing else bounds, has grown large."""
        self._since_renewal += n_bytes
        if self._since_renewal < _RENEW_TEXT_BYTES:
            return
        self._since_renewal = 0
        if _resident_bytes() - self._memory > _RENEW_MEMORY_BYTES:
            self._fast = None
            self._fast = _load_fast(self._reference.text_config)


def load(path: str, pattern: str | None = None, special_tokens: Mapping[str, int] | None = None) -> Encoder:
    """The encoder of a tokenizer: tokenizer.json, GPT-2's pair of files, tiktoken's ranks, or a folder of one of these.

    Kept for the process: many tasks share one, and loading takes up to a second.

    Args:
        path: A tokenizer.json, tiktoken's ranks, encoder.json or vocab.bpe, or a folder of one of these; or a URL.
        pattern: For ranks alone: the regular expression, or its name (gpt2, cl100k, o200k, llama).
        special_tokens: For ranks alone: ids of the special tokens by name.
    Returns:
        The encoder, with the fast implementation where it agrees with the reference on a few test strings.
    Raises:
        InputError: There is no tokenizer, or it cannot be read, or the pattern of ranks is not known.
    """
    data = read_tokenizer(tokenizer_files(path), pattern, special_tokens)
    return _encoder(data, os.path.basename(os.path.normpath(path)))


def load_decoder(path: str) -> Encoder:
    """As `load`, for those who decode: without the fast encoder."""
    return _encoder(read_tokenizer(tokenizer_files(path)), os.path.basename(os.path.normpath(path)), False)


@lru_cache(maxsize=2)
def _encoder(data: bytes, where: str, fast: bool = True) -> Encoder:
    return Encoder(data, where, fast)


def _resident_bytes() -> int:
    """Memory that this process holds; 0 where the operating system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _load_fast(config: Mapping[str, Any]) -> Any:
    """gigatoken's tokenizer without special tokens, or None where it cannot take this one."""
    try:
        import gigatoken  # optional: the reference alone is enough, only slower
    except ImportError:
        return None
    added = [t for t in config.get("added_tokens") or [] if not t.get("special")]
    try:
        return gigatoken.Tokenizer.from_json(json.dumps({**config, "added_tokens": added}))
    except Exception:  # whatever it does not support; the caller falls back to the reference
        return None


def _replaced(ids: Ids, offsets: Offsets, rows: npt.NDArray[np.int64], right: Ids, bounds: Offsets
              ) -> tuple[Ids, Offsets]:
    """(ids, offsets) with the ids of some rows, ascending, replaced: row rows[i] by right[bounds[i]:bounds[i + 1]]."""
    lengths, parts, done = np.diff(offsets), [], 0
    lengths[rows] = np.diff(bounds)
    for i, row in enumerate(rows.tolist()):
        parts += [ids[offsets[done] : offsets[row]], right[bounds[i] : bounds[i + 1]]]
        done = row + 1
    return np.concatenate([*parts, ids[offsets[done] :]]), np.concatenate([[0], np.cumsum(lengths)])


def _awkward_strings(strings: pa.LargeStringArray) -> Any:
    """Arrow strings as gigatoken's input type, over the same buffers."""
    with absent("regex"):  # a parser of awkward's types, which no array of ours names, would take it if it were there
        import awkward as ak  # gigatoken's own dependency

    data, offsets = string_buffers(strings)
    characters = ak.contents.NumpyArray(data, parameters={"__array__": "char"})
    content = ak.contents.ListOffsetArray(ak.index.Index64(offsets), characters, parameters={"__array__": "string"})
    return ak.Array(content)
