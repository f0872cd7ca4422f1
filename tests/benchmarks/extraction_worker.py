"""One extractor of the benchmark, in a process of its own: pages on stdin, texts and CPU seconds on stdout.

Decoding is part of what is timed: extractors are given bytes, as an archive holds them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def extractor(name: str) -> Callable[[bytes], str]:
    """bytes to text by the extractor of that name."""
    if name.startswith("trafilatura"):
        from trafilatura import extract

        fast, comments = name.endswith("fast"), name.endswith("comments")
        return lambda html: extract(html, include_comments=comments, fast=fast) or ""
    if name == "resiliparse-comments":
        from resiliparse.extract.html2text import extract_plain_text

        from curate.extraction.html import decode

        return lambda html: extract_plain_text(decode(html), main_content=True, alt_texts=False, comments=True)
    from curate.extraction.extractors import extractor as own

    function = own(name)
    return lambda html: function(html, None).text


def main() -> None:
    """Answer until stdin ends. A page that fails is an empty text."""
    extract = extractor(sys.argv[1])
    while line := sys.stdin.buffer.readline():
        pages = [sys.stdin.buffer.read(n) for n in json.loads(line)]
        texts = []
        start = time.process_time()
        for page in pages:
            try:
                texts.append(extract(page))
            except (ValueError, RuntimeError, TypeError):
                texts.append("")
        seconds = time.process_time() - start
        print(json.dumps({"seconds": seconds, "texts": texts}), flush=True)


if __name__ == "__main__":
    main()
