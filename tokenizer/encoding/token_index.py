"""The index of a tokens part as mixing and packing read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import TOKENS
from manifests.tables import open_table, read_row_groups

_GROUP = "group_id"


def read_index(path: str) -> Iterator[pa.Table]:
    """TOKENS, row group by row group; group_id is the document's own id where the file has none."""
    with open_table(path) as file:
        names = [name for name in TOKENS.names if name != _GROUP or name in file.schema_arrow.names]
    for group in read_row_groups(path, names):
        groups: Any = group["doc_id"]
        if _GROUP in names:
            groups = pc.coalesce(group[_GROUP], groups)
        columns = {name: groups if name == _GROUP else group[name] for name in TOKENS.names}
        yield pa.table(columns, schema=TOKENS)
