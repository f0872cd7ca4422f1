"""How documents fill rows: what a reader needs to know of each packing, and the code by which shards name it.

Another packing is one entry here, and one module of its name in `tokenizer.packing.modes`, which packs by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Packing:
    """One packing.

    name: as recipes and manifests call it. description: for people. is_stream: rows follow one another as one stream of
    tokens, without padding, so the target of a row's last token is the next row's first. row_each: every document takes
    rows of its own."""

    name: str
    description: str
    is_stream: bool = False
    row_each: bool = False

    @property
    def code(self) -> int:
        """How a shard's header names it."""
        return list(PACKINGS).index(self.name)


PACKINGS: Final[dict[str, Packing]] = {packing.name: packing for packing in (
    Packing("concat", "joins all documents and cuts at every row", is_stream=True),
    Packing("best_fit", "packs whole documents and cuts only those longer than a row"),
    Packing("pad", "gives every document rows of its own", row_each=True),
)}
"""By name, in the order of their codes: new ones come last."""

ROW_PACKINGS: Final = tuple(packing.name for packing in PACKINGS.values() if not packing.is_stream)
"""Names of those that fill rows with uncut documents, dialogues among them."""
