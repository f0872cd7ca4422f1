"""How fast dumps are read, and what of it is the parsers of their markup: MB of XML a second of one core.

`python -m tests.benchmarks.dumps --data DATA`
"""

from __future__ import annotations

import argparse
import bz2
import tempfile
import time
from pathlib import Path
from typing import Any

from curate.extraction import wikitext
from curate.sources.dump_options import MediaWikiOptions
from curate.sources.entries import Dump, Entry
from curate.sources.mediawiki import read_mediawiki


class _Timed:
    """The parser, with the seconds of CPU that it took."""

    seconds = 0.0

    def __init__(self) -> None:
        self._parser = _PARSER()

    def tokenize(self, *arguments: Any) -> Any:
        start = time.process_time()
        try:
            return self._parser.tokenize(*arguments)
        finally:
            _Timed.seconds += time.process_time() - start


_PARSER = wikitext.Tokenizer


def measure_mediawiki(archive: Path, rounds: int = 7) -> dict[str, float]:
    """The best of some rounds over one plain file: MB/s of everything and of all but the parser, the parser's share."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as plain:
        plain.write(bz2.decompress(archive.read_bytes()))
        plain.flush()
        size = Path(plain.name).stat().st_size / 1e6
        vars(wikitext)["Tokenizer"] = _Timed
        best = (float("inf"), 0.0)
        for _ in range(rounds):
            _Timed.seconds, start = 0.0, time.process_time()
            entries = list(read_mediawiki(Dump(plain.name, MediaWikiOptions(), 16 << 20, None, lambda name, n: None)))
            best = min(best, (time.process_time() - start, _Timed.seconds))
        vars(wikitext)["Tokenizer"] = _PARSER
    total, parser = best
    texts = sum(len(entry.text or b"") for entry in entries if isinstance(entry, Entry))
    return {"xml_megabytes": size, "text_megabytes": texts / 1e6, "megabytes_per_second": size / total,
            "without_parser_megabytes_per_second": size / (total - parser), "parser_share": parser / total}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    folder = arguments.parse_args().data / "dumps"
    archive = next((folder / "wikipedia").glob("enwiki-latest-pages-articles1*.bz2"))
    for name, value in measure_mediawiki(archive).items():
        print(f"{name:40} {value:8.2f}")


if __name__ == "__main__":
    main()
