"""A tokenizer.json as the ranks file that tiktoken reads: a token in base64 and its id on every line."""

from __future__ import annotations

import base64
import json

from manifests.errors import InputError
from tokenizer.encoding.encode import Encoder
from tokenizer.encoding.patterns import EXPRESSIONS, Pattern


def tiktoken_ranks(data: bytes, where: str) -> bytes:
    """The ranks of a byte-level BPE's tokenizer.json: bytes and merges, without special tokens.

    tiktoken merges the pair whose joined bytes have the lowest rank, so ids must follow the merges' order: those of
    tokenizers trained here do, and GPT-2's. A ranks file has neither the pattern (`pattern_of`) nor special tokens.

    Args:
        data: The tokenizer.json.
        where: Its name, for errors.
    Returns:
        The ranks file.
    Raises:
        InputError: The ids do not follow the merges, or the file is not a byte-level BPE.
    """
    encoder = Encoder(data, where)
    model = json.loads(data)["model"]
    if model.get("type") != "BPE":
        raise InputError(f"is a {model.get('type')} model, not byte pair encoding", where=where)
    added = {token["id"] for token in json.loads(data).get("added_tokens") or []}
    merges = [tuple(m.split(" ", 1)) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    ids = [model["vocab"].get(a + b, -1) for a, b in merges]
    if ids != sorted(ids) or -1 in ids[:1]:
        raise InputError("gives ids in another order than its merges", where=where,
                         hint="tiktoken takes ids for ranks; only tokenizers whose ids follow their merges have ranks")
    made = set(ids)
    ranks = {i: encoder.decode_bytes([i]) for i in sorted(model["vocab"].values()) if i not in added}
    if any(len(token) > 1 for i, token in ranks.items() if i not in made):
        raise InputError("has tokens that neither bytes nor merges make", where=where)
    return b"".join(base64.b64encode(token) + b" %d\n" % i for i, token in ranks.items())


def pattern_of(data: bytes, where: str) -> str:
    """The regular expression by which a tokenizer.json cuts text: tiktoken's pat_str. InputError where none does."""
    pre_tokenizer = json.loads(data).get("pre_tokenizer") or {}
    steps = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    for step in steps:
        if step.get("type") == "Split" and "Regex" in step["pattern"]:
            return str(step["pattern"]["Regex"])
        if step.get("type") == "ByteLevel" and step.get("use_regex", True):
            return EXPRESSIONS[Pattern.GPT2]
    raise InputError("cuts text by no regular expression", where=where)


def special_tokens(data: bytes) -> dict[str, int]:
    """Ids of the special tokens, by name."""
    return {t["content"]: t["id"] for t in json.loads(data).get("added_tokens") or [] if t.get("special")}
