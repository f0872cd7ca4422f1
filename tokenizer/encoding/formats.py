"""Tokenizers in other people's files, each as the tokenizer.json that gives the same ids.

`tokenizers` reads one format; GPT-2's encoder.json with vocab.bpe and tiktoken's ranks are turned into it here, always
to the same bytes, so a run has one kind of tokenizer and one sha256 that covers all that determines ids: vocabulary,
merges, pattern and special tokens.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from manifests.errors import AbsentError, InputError
from manifests.storage import is_local, open_read
from tokenizer.encoding.patterns import EXPRESSIONS, Pattern

_PAIRS: Final = (("encoder.json", "vocab.bpe"), ("vocab.json", "merges.txt"))  # OpenAI's names, Hugging Face's
END_OF_TEXT: Final = "<|endoftext|>"
_FIM: Final = ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>")


@dataclass(frozen=True, slots=True)
class Encoding:
    """What a ranks file does not say. pattern: tiktoken's pat_str. special_tokens: ids by name."""

    pattern: str
    special_tokens: Mapping[str, int]


KNOWN_ENCODINGS: Final[Mapping[str, Encoding]] = {
    "r50k_base": Encoding(EXPRESSIONS[Pattern.GPT2], {END_OF_TEXT: 50256}),
    "p50k_base": Encoding(EXPRESSIONS[Pattern.GPT2], {END_OF_TEXT: 50256}),
    "cl100k_base": Encoding(EXPRESSIONS[Pattern.CL100K], {
        END_OF_TEXT: 100257, **{name: 100258 + i for i, name in enumerate(_FIM)}, "<|endofprompt|>": 100276}),
    "o200k_base": Encoding(EXPRESSIONS[Pattern.O200K], {END_OF_TEXT: 199999, "<|endofprompt|>": 200018}),
}
"""The files that OpenAI publishes, by name without `.tiktoken`: tiktoken_ext/openai_public.py of tiktoken 0.14."""

# tiktoken's own writing of the patterns: possessive quantifiers save time there and change no match.
_SAME_PATTERNS: Final[Mapping[str, Pattern]] = {
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s": Pattern.GPT2,
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+": Pattern.GPT2,
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|"
    r"\s+(?!\S)|\s": Pattern.CL100K,
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|"
    r"\s+": Pattern.CL100K,
}


def tokenizer_files(path: str) -> tuple[str, ...]:
    """The files that determine the ids of the tokenizer at a path, in the order `read_tokenizer` takes them.

    Args:
        path: A tokenizer.json, tiktoken ranks (with NAME.json beside NAME, if it is there), encoder.json or vocab.bpe,
            or a folder of one of these.
    Raises:
        InputError: There is none, or more than one ranks file.
    """
    if not is_local(path):
        return (path,)
    if os.path.isdir(path):
        return _files_of_folder(path)
    if not os.path.isfile(path):
        raise AbsentError("there is no such tokenizer", where=path,
                         hint="name a tokenizer.json, tiktoken ranks, or a folder with encoder.json and vocab.bpe")
    folder, name = os.path.split(path)
    for pair in _PAIRS:
        if name in pair:
            return _both_of_pair(folder, pair)
    beside = f"{path}.json"
    return (path, beside) if not name.endswith(".json") and os.path.isfile(beside) else (path,)


def _files_of_folder(folder: str) -> tuple[str, ...]:
    there = set(os.listdir(folder))
    if "tokenizer.json" in there:
        return (os.path.join(folder, "tokenizer.json"),)
    for pair in _PAIRS:
        if there & set(pair):
            return _both_of_pair(folder, pair)
    ranks = sorted(name for name in there if name.endswith(".tiktoken"))
    if len(ranks) != 1:
        raise InputError(f"holds {len(ranks) or 'no'} tokenizers", where=folder,
                         hint="a folder has a tokenizer.json, encoder.json and vocab.bpe, or one .tiktoken file")
    return tokenizer_files(os.path.join(folder, ranks[0]))


def _both_of_pair(folder: str, pair: tuple[str, str]) -> tuple[str, ...]:
    paths = tuple(os.path.join(folder, name) for name in pair)
    for path in paths:
        if not os.path.isfile(path):
            raise InputError("is half of a tokenizer: its other file is missing", where=path,
                             hint=f"{pair[0]} holds the ids and {pair[1]} the merges")
    return paths


def read_tokenizer(files: Sequence[str], pattern: str | None = None,
                   special_tokens: Mapping[str, int] | None = None) -> bytes:
    """tokenizer.json of the files that `tokenizer_files` names, in any order; a tokenizer.json comes back as it is.

    Args:
        files: Paths or URLs.
        pattern: For ranks, a regular expression or a name (gpt2, cl100k, o200k, llama). NAME.json beside the ranks may
            give it, as `pat_str`, and files of OpenAI's names need none. Nothing is guessed.
        special_tokens: For ranks, ids by name. NAME.json may give them as well, as `special_tokens`.
    Returns:
        The tokenizer.json, UTF-8.
    Raises:
        InputError: A file is broken, or the pattern of ranks is not known.
    """
    named = {os.path.basename(file): file for file in files}
    for vocab, merges in _PAIRS:
        if {vocab, merges} <= set(named):
            return _from_pair(_parsed(_read(named[vocab]), named[vocab]), _read(named[merges]), named[merges])
    first, *beside = sorted(files, key=len)
    data = _read(first)
    if not _are_ranks(data):
        if pattern is not None or special_tokens is not None:
            raise InputError("is not a ranks file: it has a pattern and special tokens of its own", where=first)
        return data
    if beside:
        beside_ranks = _parsed(_read(beside[0]), beside[0])
        pattern = pattern if pattern is not None else beside_ranks.get("pat_str")
        special_tokens = special_tokens if special_tokens is not None else beside_ranks.get("special_tokens")
    known = KNOWN_ENCODINGS.get(os.path.basename(first).removesuffix(".tiktoken"))
    if pattern is None and known is not None:
        pattern, special_tokens = known.pattern, special_tokens or known.special_tokens
    if pattern is None:
        raise InputError("is a ranks file, which does not say how text is cut", where=first, hint=(
            f'write {{"pat_str": ..., "special_tokens": {{...}}}} to {os.path.basename(first)}.json beside it'))
    return _from_ranks(data, _expression(str(pattern), first), dict(special_tokens or {}), first)


def _read(path: str) -> bytes:
    with open_read(path) as stream:
        return bytes(stream.read())


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON: {error}", where=where) from error
    if not isinstance(value, dict):
        raise InputError("does not hold a JSON object", where=where)
    return value


def _are_ranks(data: bytes) -> bool:
    """Whether the first line is a token in base64 and a number."""
    words = data.split(b"\n", 1)[0].split()
    if len(words) != 2 or not words[1].isdigit():
        return False
    try:
        return bool(base64.b64decode(words[0], validate=True))
    except binascii.Error:
        return False


def _expression(pattern: str, where: str) -> str:
    if pattern in set(Pattern):
        return EXPRESSIONS[Pattern(pattern)]
    if pattern in _SAME_PATTERNS:
        return EXPRESSIONS[_SAME_PATTERNS[pattern]]
    # `{1,3}+` is possessive for tiktoken, but once or more often {1,3} for the engine of `tokenizers`.
    if re.search(r"\{\d+(,\d*)?\}\+", pattern):
        raise InputError("has a pattern that `tokenizers` would read otherwise: a possessive {}+", where=where,
                         hint="write it without the +")
    return pattern


def _from_pair(vocab: dict[str, Any], merges: bytes, where: str) -> bytes:
    """GPT-2's two files (Radford et al. 2019, encoder.py): ids by token, and the merges in order."""
    lines = merges.decode("utf-8", "replace").split("\n")
    if lines[0].startswith("#version"):
        lines = lines[1:]
    pairs = [line.split() for line in lines if line.strip()]
    for pair in pairs:
        if len(pair) != 2 or "".join(pair) not in vocab:
            raise InputError(f"has a merge whose token is not in the vocabulary: {' '.join(pair)[:80]!r}", where=where)
    special = {name: vocab[name] for name in (END_OF_TEXT,) if name in vocab}
    return _tokenizer_json(vocab, pairs, EXPRESSIONS[Pattern.GPT2], special, ignore_merges=False)


def _from_ranks(data: bytes, expression: str, special: dict[str, int], where: str) -> bytes:
    """tiktoken's ranks: ids that are priorities as well. A pair is merged where its joined bytes have a rank, so a
    token has a merge for each way to cut it into two tokens; a pre-token that is a token is never cut."""
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(data.split(b"\n"), 1):
        words = line.split()
        if not words:
            continue
        try:
            ranks[base64.b64decode(words[0], validate=True)] = int(words[1])
        except (binascii.Error, ValueError, IndexError) as error:
            raise InputError(f"has a line that is not a rank: {error}", where=f"{where}:{number}") from error
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise InputError(f"has no token for byte {missing[0]}", where=where)
    from tokenizer.encoding.token_bytes import byte_alphabet  # asks `tokenizers`, which a recipe need not load

    letters = byte_alphabet()
    names = {token: "".join([letters[b] for b in token]) for token in ranks}
    in_order = sorted(ranks, key=ranks.__getitem__)
    merges = [[names[token[:i]], names[token[i:]]]
              for token in in_order for i in range(1, len(token)) if token[:i] in ranks and token[i:] in ranks]
    taken = set(ranks.values())
    for name, i in special.items():
        if i in taken:
            raise InputError(f"gives {name} an id that a token has: {i}", where=where)
    vocab = {names[token]: ranks[token] for token in in_order}
    if sorted(special.values()) != list(range(len(vocab), len(vocab) + len(special))):
        vocab |= special  # `tokenizers` numbers added tokens itself unless the model names them
    return _tokenizer_json(vocab, merges, expression, special, ignore_merges=True)


def _tokenizer_json(vocab: Mapping[str, int], merges: Sequence[Sequence[str]], expression: str,
                    special: Mapping[str, int], ignore_merges: bool) -> bytes:
    gpt2 = expression == EXPRESSIONS[Pattern.GPT2]  # ByteLevel's own
    cut: dict[str, Any] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": gpt2}
    if not gpt2:
        split = {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}
        cut = {"type": "Sequence", "pretokenizers": [split, cut]}
    added = [{"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
              "special": True} for name, i in sorted(special.items(), key=lambda item: item[1])]
    decoder = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": ignore_merges,
             "vocab": dict(sorted(vocab.items(), key=lambda item: item[1])), "merges": [list(pair) for pair in merges]}
    return json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                       "pre_tokenizer": cut, "post_processor": None, "decoder": decoder, "model": model},
                      ensure_ascii=False, separators=(",", ":")).encode()
