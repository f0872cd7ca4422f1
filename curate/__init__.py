"""Web pages in, clean documents out.

    import curate
    table = curate.filter(table, preset="fineweb")      # an Arrow table, a polars or pandas data frame
    table = curate.deduplicate(table, threshold=0.8)

docs/python.md shows each function, docs/api.md describes its arguments. They are loaded when first used, so that
importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from curate.api.contamination import decontaminate
    from curate.api.duplicates import deduplicate
    from curate.api.filtering import filter
    from curate.api.reading import DocumentReader, read_documents
    from curate.api.texts import extract_text, identify_language, minhash, score, signals

__all__ = [
    "DocumentReader",
    "decontaminate",
    "deduplicate",
    "extract_text",
    "filter",
    "identify_language",
    "minhash",
    "read_documents",
    "score",
    "signals",
]

_MODULE_OF = {
    "decontaminate": "contamination",
    "deduplicate": "duplicates",
    "filter": "filtering",
    **dict.fromkeys(("DocumentReader", "read_documents"), "reading"),
    **dict.fromkeys(("extract_text", "identify_language", "minhash", "score", "signals"), "texts"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.api.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
