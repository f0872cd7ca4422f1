"""A document before it is judged: the rows that every kind of source is read into, and the reasons to exclude one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import pyarrow as pa

from manifests.hashing import document_id

ROWS: Final = pa.schema([
    pa.field("doc_id", pa.binary(16), nullable=False),
    pa.field("record_id", pa.string()),
    pa.field("url", pa.string()),
    pa.field("host", pa.string()),
    pa.field("date", pa.timestamp("ms", "UTC")),
    pa.field("origin_offset", pa.int64(), nullable=False),
    pa.field("origin_length", pa.int64(), nullable=False),
    pa.field("text", pa.large_string()),
    pa.field("page_type", pa.string()),
    pa.field("page_type_score", pa.float32()),
    pa.field("reason", pa.string()),
    pa.field("value", pa.float64()),
    pa.field("threshold", pa.float64()),
])
"""What a source gives: documents (reason is null) and those it excluded already (text is null)."""


class ExtractReason(StrEnum):
    """Why a record with a document in it gave none, in the order in which the rules are applied."""

    REMOVED_ON_REQUEST = "removed_on_request"
    LEFT_OUT = "left_out"  # by the `keep` of a table, or by decisions about its rows
    BEFORE_SINCE = "before_since"
    AFTER_UNTIL = "after_until"
    NO_DATE = "no_date"
    URL_SCHEME = "url_scheme"
    BLOCKED_HOST = "blocked_host"
    BLOCKLIST = "blocklist"  # with the category after it
    OPTED_OUT = "opted_out"
    URL_EXTENSION = "url_extension"
    HTTP_STATUS = "http_status"
    ROBOTS_HEADER = "robots_header"
    NOT_HTML = "not_html"
    HTML_TOO_LARGE = "html_too_large"
    HTML_TOO_DEEP = "html_too_deep"
    HTML_TOO_MANY_TAGS = "html_too_many_tags"
    HTML_TOO_MANY_ATTRIBUTES = "html_too_many_attributes"
    ROBOTS_META = "robots_meta"
    UNREADABLE = "unreadable"
    NO_TEXT = "no_text"
    TEXT_TOO_SHORT = "text_too_short"
    TEXT_TOO_LONG = "text_too_long"
    NO_LANGUAGE = "no_language"
    LANGUAGE = "language"
    LANGUAGE_SCORE = "language_score"
    MIXED_LANGUAGE = "mixed_language"


def row_ids(source: str, path: str, positions: Sequence[int | str]) -> pa.FixedSizeBinaryArray:
    """Ids of the documents at these positions of one input file."""
    return pa.array([document_id(source, path, p) for p in positions], pa.binary(16))


def rows_table(columns: dict[str, Any], n_rows: int) -> pa.Table:
    """A table of `ROWS` from some of its columns; the others are null."""
    arrays = []
    for field in ROWS:
        given = columns.get(field.name)
        if given is None:
            given = pa.nulls(n_rows, field.type)
        elif not isinstance(given, pa.Array):
            given = pa.array(given, field.type)
        arrays.append(given if given.type == field.type else given.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=ROWS)
