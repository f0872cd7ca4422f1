"""Special tokens: ids of their own behind the merges, which no text is ever encoded to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from manifests.errors import RecipeError
from tokenizer.encoding.formats import END_OF_TEXT

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PRESETS: Final[dict[str, tuple[str, ...]]] = {
    "gpt1": ("<|start|>", "<|delimiter|>", "<|extract|>"),
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "fim": ("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"),
}
"""By name: GPT-1's tokens of fine-tuning (Radford et al. 2018, section 3.3), ChatML's, and those of
fill-in-the-middle."""


def expand(names: Sequence[str]) -> tuple[str, ...]:
    """Special tokens in order, each preset's name replaced by its tokens.

    Args:
        names: Tokens, and names of presets.
    Raises:
        ValueError: A token is empty, is named twice, or is the end-of-text token, which every vocabulary has.
    """
    tokens = [token for name in names for token in PRESETS.get(name, (name,))]
    for token in tokens:
        if not token or token != token.strip():
            raise ValueError(f"special token {token!r} is empty, or begins or ends in white space")
        if token == END_OF_TEXT:
            raise ValueError(f"{END_OF_TEXT} is there in any case")
        if tokens.count(token) > 1:
            raise ValueError(f"special token {token!r} is named twice")
    return tuple(tokens)


def add_special_tokens(tokenizer: Tokenizer, tokens: Sequence[str]) -> None:
    """Give each token the next id behind the vocabulary; one that is a special token already keeps its id.

    Raises:
        RecipeError: The vocabulary has a token of that name that text is encoded to.
    """
    from tokenizers import AddedToken

    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    for token in tokens:
        if token not in special and tokenizer.token_to_id(token) is not None:
            raise RecipeError(f"{token!r} is an entry of the vocabulary that text is encoded to",
                              where="tokenizer.special_tokens",
                              hint="choose a name that no text spells, such as <|name|>")
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens
                                  if token not in special])


def with_special_tokens(data: bytes, tokens: Sequence[str]) -> bytes:
    """A tokenizer.json with special tokens added; the same bytes where all are there.

    Args:
        data: The tokenizer.json.
        tokens: As `expand` gives them.
    Raises:
        RecipeError: As `add_special_tokens`.
    """
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(data.decode())
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    if set(tokens) <= special:
        return data
    add_special_tokens(tokenizer, tokens)
    return str(tokenizer.to_str(pretty=True)).encode()
