"""Clean documents in, packed rows out: training a BPE, encoding, mixing sources to exact token budgets, packing.

    import tokenizer
    encoder = tokenizer.train(texts, vocab_size=32_768)      # a column of strings, of any library
    ids, offsets = encoder.encode(texts)
    dataset = tokenizer.pack((ids, offsets), "dataset", encoder, row_length=2048)

docs/python.md shows each function, docs/api.md describes its arguments. They are loaded when first used: most of this
package needs no encoder, and loading its libraries takes half a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizer.api.shards import pack
    from tokenizer.api.training import train
    from tokenizer.encoding.encode import Encoder, load

__all__ = ["Encoder", "load", "pack", "train"]

_MODULE_OF = {"Encoder": "encoding.encode", "load": "encoding.encode", "pack": "api.shards", "train": "api.training"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
