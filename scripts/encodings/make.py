"""The tables of legacy encodings that `curate.charsets` ships, and the golden digests of its tests, of the facts that
`oracle.mjs` wrote.

    python -m scripts.encodings.make facts.json
"""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from curate.charsets.tables import MARKED, PAIR_TABLES, RANGES, SHAPES, Codes

_ROOT: Final = Path(__file__).parents[2]
_FILTERS: Final = [{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2, "preset": 9}]


def main(path: str) -> None:
    """Write the three files."""
    facts = json.loads(Path(path).read_text(encoding="utf-8"))
    package, tests = _ROOT / "curate/charsets", _ROOT / "tests/unit/curate/charsets"
    lines = [f"{label}\t{name}" for label, name in sorted(facts["labels"].items())]
    (package / "labels.tsv").write_text("label\tencoding\n" + "\n".join(lines) + "\n", encoding="ascii", newline="\n")
    data = b"".join(_table(name, facts["tables"]).astype("<i4").tobytes() for name in SHAPES)
    (package / "tables.xz").write_bytes(lzma.compress(data, lzma.FORMAT_XZ, filters=_FILTERS))
    golden = json.dumps(facts["golden"], sort_keys=True, separators=(",", ":"))
    (tests / "golden.json.xz").write_bytes(lzma.compress(golden.encode(), preset=9))


def _table(name: str, tables: dict[str, Any]) -> Codes:
    """A table in the shape that the package keeps; 0 where there is no character."""
    if name == RANGES:
        return np.array(tables[name], np.int32)
    if name in PAIR_TABLES:
        return np.array([[_code(codes) for codes in row] for row in tables[name]], np.int32)
    return np.where(_is_error(tables[name]), 0, np.array(tables[name], np.int32)).astype(np.int32)


def _is_error(codes: list[int]) -> npt.NDArray[np.bool_]:
    return np.array([code == 0xFFFD for code in codes])


def _code(codes: list[int] | None) -> int:
    """One number for what a sequence stands for: a code point, or a letter and the mark over it."""
    if codes is None:
        return 0
    if len(codes) == 1:
        return codes[0]
    letter, mark = codes
    return MARKED | letter << 16 | mark


if __name__ == "__main__":
    main(sys.argv[1])
