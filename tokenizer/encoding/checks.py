"""What a tokenizer.json of somebody else may not do: claim ids that no memory holds, give one id to two tokens, cut
text by an expression that never ends, or replace a letter by a book.

The library that defines what is right believes its file: it makes a table as long as the largest id, and runs whatever
expression and replacement it is given.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from manifests.errors import InputError, RecipeError
from tokenizer.encoding.patterns import EXPRESSIONS

MAX_IDS: Final = 1 << 24
"""Ids are below this: sixty times the largest vocabulary that is published."""
_MAX_GROWTH: Final = 256  # times as long as it was; of published tokenizers 3
_MAX_PUT_IN: Final = 4096  # letters
_STEPS: Final = ("normalizer", "pre_tokenizer", "decoder")
_CPU_SECONDS: Final = 10
_MEMORY_BYTES: Final = 8 << 30
_REPEATS: Final = 3000
_LETTERS: Final = 48  # of an expression, that it is tried on
_PROBE: Final = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({_CPU_SECONDS}, {_CPU_SECONDS}))
resource.setrlimit(resource.RLIMIT_AS, ({_MEMORY_BYTES}, {_MEMORY_BYTES}))
import json
from tokenizers import Tokenizer
data, texts = json.load(sys.stdin)
tokenizer = Tokenizer.from_str(data)
for text in texts:
    tokenizer.encode(text)
"""


def parse_tokenizer(data: bytes, where: str) -> dict[str, Any]:
    """The fields of a tokenizer.json, checked.

    Args:
        data: The file.
        where: Its name, for errors.
    Raises:
        InputError: It is no JSON object, or has no model.
        RecipeError: Ids are too large, negative, given twice or a matter of chance, an expression does not end, or
            texts would become many times as long; the field is named.
    """
    try:
        config = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not a tokenizer.json: {error}", where=where) from error
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise InputError("is not a tokenizer.json: it has no model", where=where)
    _check_ids(config, where)
    if dropout := config["model"].get("dropout"):
        raise RecipeError(f"model.dropout is {str(dropout)[:40]}: ids would be a matter of chance", where=where,
                          hint="set it to null")
    try:
        _check_growth(config, where)
        own = sorted(set(_expressions(config)) - set(EXPRESSIONS.values()))
    except RecursionError as error:
        raise RecipeError("its steps are nested too deeply", where=where) from error
    if own:
        _check_expressions(data, tuple(own), where)
    return config


def _check_ids(config: Mapping[str, Any], where: str) -> None:
    vocab, added = config["model"].get("vocab"), config.get("added_tokens") or []
    if not isinstance(added, list) or not all(isinstance(t, dict) and "content" in t for t in added):
        raise RecipeError("added_tokens is no list of tokens", where=where)
    taken: dict[int, str] = {}
    listed = [(f"added_tokens.{i}.id", t.get("id"), str(t["content"])) for i, t in enumerate(added)]
    named = [("model.vocab", i, token) for token, i in vocab.items()] if isinstance(vocab, dict) else []
    for field, i, token in [*named, *listed]:
        if type(i) is not int or not 0 <= i < MAX_IDS:
            raise RecipeError(f"{field} gives {token[:80]!r} the id {str(i)[:40]}, which is not 0 to {MAX_IDS - 1}",
                              where=where)
        if taken.setdefault(i, token) != token:
            raise RecipeError(f"{field} gives {token[:80]!r} the id {i}, which {taken[i][:80]!r} has", where=where)
    if isinstance(vocab, list) and len(vocab) > MAX_IDS:
        raise RecipeError(f"model.vocab has {len(vocab):,} tokens, more than {MAX_IDS:,}", where=where)


def _check_growth(config: Mapping[str, Any], where: str) -> None:
    for field in _STEPS:
        if (growth := _growth(config.get(field))) > _MAX_GROWTH:
            raise RecipeError(f"{field} may make a text {growth:,.0f} times as long, more than {_MAX_GROWTH} times",
                              where=where)


def _growth(value: Any) -> float:
    """How many times as long steps may make a text: those of a list come one after another."""
    if isinstance(value, list):
        return math.prod(map(_growth, value))
    if not isinstance(value, dict):
        return 1.0
    own = 1.0
    if isinstance(content := value.get("content"), str) and isinstance(pattern := value.get("pattern"), dict):
        # An expression may find nothing, between any two letters.
        found = len(text) if isinstance(text := pattern.get("String"), str) and text else 0
        own = max(1.0, len(content) / found if found else len(content) + 1.0)
    if isinstance(put_in := value.get("prepend"), str) and len(put_in) > _MAX_PUT_IN:
        own = math.inf
    return own * math.prod(_growth(child) for child in value.values() if isinstance(child, list | dict))


def _expressions(value: Any) -> Iterator[str]:
    """Regular expressions anywhere in a tokenizer but its vocabulary."""
    if isinstance(value, dict):
        if isinstance(value.get("Regex"), str):
            yield value["Regex"]
        inner: Iterable[Any] = (child for name, child in value.items() if name not in ("vocab", "merges"))
    else:
        inner = value if isinstance(value, list) else ()
    for child in inner:
        yield from _expressions(child)


@lru_cache(maxsize=8)
def _check_expressions(data: bytes, expressions: tuple[str, ...], where: str) -> None:
    """Encode texts on which an expression with nested repeats goes back over and over, in a process of its own."""
    letters = dict.fromkeys(c for e in expressions for c in e if c.isalnum())
    texts = [c * _REPEATS + end for c in [*" \n1a!é", *list(letters)[:_LETTERS]] for end in ("", "\x00")]
    texts += [pair * _REPEATS + "\x00" for pair in ("aA", "a ", "a1", " \n", "'s")]
    # A constant program, and no shell: what comes from others is its input.
    probe = subprocess.run([sys.executable, "-c", _PROBE],  # nosec B603
                           input=json.dumps([data.decode(), texts]).encode(),
                           capture_output=True, check=False)
    if probe.returncode == 0:
        return
    why = f"takes more than {_CPU_SECONDS} s for {_REPEATS} letters" if probe.returncode < 0 else "fails: " + (
        probe.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:200] or "it gives no reason")
    raise RecipeError(f"pre_tokenizer or normalizer {why}; expressions: {', '.join(expressions)[:200]}", where=where)
