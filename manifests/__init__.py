"""The contract on disk: tables, records, packed shards, and what a trainer needs to read them.

The names below are loaded when first used, so that importing one module of the package costs that module alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from manifests.dataset import PackedDataset, RowDocuments, Segments, dataset_digest
    from manifests.errors import CurateError, DatasetMismatchError, InputError, RecipeError, ShardError, StageError
    from manifests.loader import Batch, PackedLoader
    from manifests.shard import Header, open_shard, read_header, write_shard

__all__ = [
    "Batch",
    "CurateError",
    "DatasetMismatchError",
    "Header",
    "InputError",
    "PackedDataset",
    "PackedLoader",
    "RecipeError",
    "RowDocuments",
    "Segments",
    "ShardError",
    "StageError",
    "dataset_digest",
    "open_shard",
    "read_header",
    "write_shard",
]

_MODULE_OF = {
    **dict.fromkeys(("PackedDataset", "RowDocuments", "Segments", "dataset_digest"), "dataset"),
    **dict.fromkeys(("Batch", "PackedLoader"), "loader"),
    **dict.fromkeys(("Header", "open_shard", "read_header", "write_shard"), "shard"),
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF.get(name, 'errors')}"), name)
