"""Published corpora by name: what the columns of their files are called, in Parquet or JSON Lines, as they are
distributed, or archives of texts. A dot leads into a field of a field."""

from __future__ import annotations

from typing import Final, NamedTuple

from curate.sources.columns import ColumnNames


class Layout(NamedTuple):
    """what: the corpus, as messages call it. columns: of its files. archives: whether it is distributed as tar archives
    of texts too."""

    what: str
    columns: ColumnNames
    archives: bool = False


LAYOUTS: Final[dict[str, Layout]] = {
    "openwebtext": Layout("OpenWebText", ColumnNames(text="text"), archives=True),
    "c4": Layout("C4", ColumnNames(text="text", url="url", date="timestamp")),
    "fineweb": Layout("FineWeb", ColumnNames(text="text", id="id", url="url", date="date")),
    "refinedweb": Layout("RefinedWeb", ColumnNames(text="content", url="url", date="timestamp")),
    "dclm": Layout("DCLM-Baseline", ColumnNames(text="text", id="metadata.WARC-Record-ID", url="url",
                                                date="metadata.WARC-Date")),
    "dolma": Layout("Dolma", ColumnNames(text="text", id="id", url="metadata.url", date="created")),
}
"""By the name that a recipe's `kind` has for them."""
