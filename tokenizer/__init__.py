"""Clean documents in, packed rows out: training a BPE, encoding, mixing sources to exact token budgets, packing.

    import pyarrow as pa, tokenizer
    encoder = tokenizer.load("tokenizer.json")
    ids, offsets = encoder.encode(pa.array(["some text", "more"]))
    texts = encoder.decode(ids, offsets)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizer.encoding.encode import Encoder, load

__all__ = ["Encoder", "load"]


def __getattr__(name: str) -> Any:
    # Lazily: most of this package needs no encoder, and loading its libraries takes half a second.
    if name in __all__:
        import tokenizer.encoding.encode

        return getattr(tokenizer.encoding.encode, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
