"""Decoders beside Python's codecs, and guesses of undeclared encodings on labelled sentences: `make bench-charsets`."""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from curate.charsets.decoders import to_utf8
from curate.charsets.reading import page_as_utf8
from tests.benchmarks.language import read

# The encodings that pages of a language come in, by Python's names of them; which the Encoding Standard has too.
CODECS = {
    "zh": ("gb18030", "big5"), "ja": ("shift_jis", "euc_jp", "iso2022_jp"), "ko": ("euc_kr",),
    "ru": ("cp1251", "koi8_r", "cp866", "iso8859_5"), "uk": ("cp1251", "koi8_u"), "bg": ("cp1251",), "sr": ("cp1251",),
    "el": ("cp1253", "iso8859_7"), "he": ("cp1255",), "ar": ("cp1256",), "fa": ("cp1256",), "tr": ("cp1254",),
    "th": ("cp874",), "vi": ("cp1258",), "pl": ("iso8859_2", "cp1250"), "cs": ("iso8859_2", "cp1250"),
    "hu": ("iso8859_2", "cp1250"), "ro": ("cp1250",), "hr": ("cp1250",), "lt": ("cp1257",), "lv": ("cp1257",),
    "et": ("cp1257",), "fr": ("cp1252",), "de": ("cp1252",), "es": ("cp1252",), "pt": ("cp1252",), "it": ("cp1252",),
    "sv": ("cp1252",), "da": ("cp1252",), "fi": ("cp1252",), "is": ("cp1252",), "en": ("cp1252",)}
SPEED = (("gbk", "zh", "gbk"), ("big5", "zh", "big5"), ("shift_jis", "ja", "shift_jis"), ("euc-jp", "ja", "euc_jp"),
         ("iso-2022-jp", "ja", "iso2022_jp"), ("euc-kr", "ko", "euc_kr"), ("windows-1251", "ru", "cp1251"),
         ("windows-1252", "fr", "cp1252"))


def speed(sentences: dict[str, list[str]]) -> list[str]:
    """A table of megabytes a second, decoded to UTF-8."""
    lines = ["| encoding | MB/s | Python's codec |", "|---|---|---|"]
    for encoding, language, codec in SPEED:
        raw = "\n".join(f"<p class='x'>{text}</p>" for text in sentences[language]).encode(codec, "ignore") * 100
        ours = seconds(lambda raw=raw, encoding=encoding: to_utf8(raw, encoding))  # type: ignore[misc]
        theirs = seconds(lambda raw=raw, codec=codec: raw.decode(codec, "replace").encode())  # type: ignore[misc]
        lines.append(f"| {encoding} | {len(raw) / ours / 1e6:,.0f} | {len(raw) / theirs / 1e6:,.0f} |")
    return lines


def seconds(run: Callable[[], object], n: int = 5) -> float:
    """Least CPU time of a call."""
    times = []
    for _ in range(n):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def guesses(sentences: dict[str, list[str]]) -> list[str]:
    """A table of the pages that are read right, though they declare nothing, by codec and sentences a page."""
    right: dict[tuple[str, int], list[bool]] = defaultdict(list)
    for language, codecs in CODECS.items():
        for codec in codecs:
            for size in (1, 5):
                for start in range(0, len(sentences[language]), size):
                    raw = "\n".join(f"<p>{t}</p>" for t in sentences[language][start : start + size]).encode(
                        codec, "ignore")
                    if not raw.isascii() or codec == "iso2022_jp":
                        page = b"<html><body><div>Home | Contact</div>" + raw + b"</body></html>"
                        right[codec, size].append(raw.decode(codec).encode() in page_as_utf8(page).data)
    every = [[x for (_, n), found in right.items() if n == size for x in found] for size in (1, 5)]
    lines = ["| encoding | pages of one sentence | of five |", "|---|---|---|",
             f"| **all** | {share(every[0])} of {len(every[0]):,} | {share(every[1])} of {len(every[1]):,} |"]
    return [*lines, *(f"| {codec} | {share(right[codec, 1])} | {share(right[codec, 5])} |"
                      for codec in sorted({codec for codec, _ in right}))]


def share(found: list[bool]) -> str:
    return f"{sum(found) / max(1, len(found)):.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    sentences: dict[str, list[str]] = defaultdict(list)
    for code, text in read(parser.parse_args().data / "langid/sentences.tsv.gz"):
        sentences[code].append(text)
    print("\n".join([*speed(sentences), "", *guesses(sentences)]))


if __name__ == "__main__":
    main()
