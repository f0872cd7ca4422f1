"""Text to token ids and back, from one tokenizer.json: a fast encoder that is checked, and the reference it must equal.

`tokenizers` defines what is right. `gigatoken` gives the same ids some fifty times as fast and reads Arrow's buffers
without a copy, but it is young: `encode` uses it, callers compare samples with `encode_reference`, and a difference
sends them back to the reference. Special tokens are never recognised in text: a page that spells `<|endoftext|>` is
encoded as those characters.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tokenizers import Tokenizer, pre_tokenizers

from manifests.errors import InputError
from manifests.shard import Tokens, token_dtype
from manifests.storage import open_read

END_OF_TEXT = "<|endoftext|>"
"""What the tokenizers trained here call it, as GPT-2 does."""
_END_OF_TEXT_NAMES = (END_OF_TEXT, "<|end_of_text|>", "</s>", "<eos>")  # GPT-2, Llama 3, Llama 1 and 2, Gemma
_PROBE = "Grüße,  it's 2 naïve\n\tcafés 😀 \u00a0 123,456\r\n中文"

Ids = Tokens
Offsets = npt.NDArray[np.int64]


class Encoder:
    """One tokenizer, loaded. dtype: uint16 or uint32, what its ids are stored in. sha256: of tokenizer.json."""

    def __init__(self, data: bytes, where: str) -> None:
        try:
            self._reference = Tokenizer.from_str(data.decode())
        except Exception as error:  # the Rust library raises a bare Exception
            raise InputError(f"is no tokenizer.json: {error}", where=where) from error
        self._reference.encode_special_tokens = True
        vocab = self._reference.get_vocab(with_added_tokens=True)
        self.vocab_size = max(vocab.values()) + 1
        self.dtype = token_dtype(self.vocab_size)
        self.sha256 = hashlib.sha256(data).digest()
        names = [name for name in _END_OF_TEXT_NAMES if name in vocab]
        if not names:
            raise InputError("the vocabulary has no end-of-text token", where=where,
                             hint=f"add one of {', '.join(_END_OF_TEXT_NAMES)} as a special token")
        self.eot_id = vocab[names[0]]
        self._pieces = _byte_pieces(vocab)
        if self.decode_bytes(self._reference.encode(_PROBE, add_special_tokens=False).ids) != _PROBE.encode():
            raise InputError("is no lossless byte-level tokenizer: a test string does not survive it", where=where)
        self._fast = _load_fast(data)

    @property
    def fast(self) -> bool:
        """Whether the fast encoder could be loaded for this tokenizer."""
        return self._fast is not None

    def encode(self, texts: pa.Array) -> tuple[Ids, Offsets]:
        """Ids of every text, joined, and where each begins: uint16 or uint32, int64 [n + 1].

        texts: string or large_string without nulls. Text i is ids[offsets[i]:offsets[i + 1]]; no token is added."""
        if self._fast is None or not len(texts):
            return self.encode_reference(texts)
        layout = self._fast.encode_batch(_awkward_strings(texts), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        ids = np.asarray(layout.content.data[offsets[0] : offsets[-1]])
        return ids.astype(self.dtype), offsets - offsets[0]

    def encode_reference(self, texts: pa.Array) -> tuple[Ids, Offsets]:
        """The same through `tokenizers`: what `encode` must equal."""
        encodings = self._reference.encode_batch_fast(texts.to_pylist(), add_special_tokens=False)
        rows = [np.array(e.ids, self.dtype) for e in encodings]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(r) for r in rows], out=offsets[1:])
        return (np.concatenate(rows) if rows else np.empty(0, self.dtype)), offsets

    def decode_bytes(self, ids: Any) -> bytes:
        """UTF-8 bytes of ids; the end-of-text token gives its name. Exact even where ids end inside a character."""
        return b"".join(map(self._pieces.__getitem__, np.asarray(ids).tolist()))

    def decode(self, ids: Any) -> str:
        """Text of ids; a character that is cut at either end becomes U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")


def load(path: str) -> Encoder:
    """The encoder of a tokenizer.json. Kept for the process: many shards share one, and loading takes up to a second.

    Raises InputError where the file is no lossless byte-level tokenizer with an end-of-text token."""
    with open_read(path) as file:
        data = file.read()
    return _encoder(data, os.path.basename(path))


@lru_cache(maxsize=2)
def _encoder(data: bytes, where: str) -> Encoder:
    return Encoder(data, where)


def byte_alphabet() -> list[str]:
    """The 256 characters that stand for bytes in byte-level BPE, in the order of the bytes (GPT-2, encoder.py)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    shifted = iter(range(256, 512))
    letters = [chr(b) if b in set(printable) else chr(next(shifted)) for b in range(256)]
    if sorted(letters) != sorted(pre_tokenizers.ByteLevel.alphabet()):
        raise RuntimeError("tokenizers has another byte alphabet than GPT-2's")
    return letters


def _byte_pieces(vocab: dict[str, int]) -> dict[int, bytes]:
    """The bytes each id stands for; tokens outside the byte alphabet (special ones) stand for their own name."""
    byte_of = {letter: byte for byte, letter in enumerate(byte_alphabet())}

    def piece(token: str) -> bytes:
        try:
            return bytes([byte_of[c] for c in token])
        except KeyError:
            return token.encode()

    return {i: piece(token) for token, i in vocab.items()}


def _load_fast(data: bytes) -> Any:
    """gigatoken's tokenizer without special tokens, or None where it cannot take this one."""
    try:
        import gigatoken  # optional: the reference alone is enough, only slower
    except ImportError:
        return None
    config = json.loads(data)
    config["added_tokens"] = [t for t in config.get("added_tokens") or [] if not t.get("special")]
    try:
        return gigatoken.Tokenizer.from_json(json.dumps(config))
    except Exception:  # whatever it does not support; the caller falls back to the reference
        return None


def _awkward_strings(texts: pa.Array) -> Any:
    """Arrow strings as gigatoken's input type, over the same buffers."""
    import awkward as ak  # gigatoken's own dependency

    strings = texts if texts.type == pa.large_string() else texts.cast(pa.large_string())
    _, places, data = strings.buffers()
    offsets = np.frombuffer(places, np.int64)[strings.offset : strings.offset + len(strings) + 1]
    characters = ak.contents.NumpyArray(np.frombuffer(data or b"", np.uint8), parameters={"__array__": "char"})
    content = ak.contents.ListOffsetArray(ak.index.Index64(offsets), characters, parameters={"__array__": "string"})
    return ak.Array(content)
