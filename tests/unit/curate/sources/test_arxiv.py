"""Papers made here in every form that arXiv has, alone and in bulk, and real ones."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from curate.sources.arxiv import identity, main_file, read_arxiv
from curate.sources.dump_options import ArxivOptions
from curate.sources.entries import Dump, Entry
from curate.sources.warc import Damage
from tests.paths import DATA

TEX = "\\documentclass{article}\\title{T}\\begin{document}Before.\\section{One}%s\\end{document}"


def tar(files: dict[str, str | bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def read(folder: Path, data: bytes, name: str = "2101.00123v2.gz", counts: Counter[str] | None = None,
         **options: Any) -> list[Entry | Damage]:
    path = folder / name
    path.write_bytes(data)

    def count(what: str, n: int) -> None:
        if counts is not None:
            counts[what] += n

    return list(read_arxiv(Dump(str(path), ArxivOptions(**options), 1 << 24, None, count)))


@pytest.mark.parametrize("data", [
    gzip.compress((TEX % "Text.").encode(), mtime=0), (TEX % "Text.").encode(),
    gzip.compress(tar({"._main.tex": b"\0\0junk", "main.tex": TEX % "\\input{two}", "two.tex": "Text.",
                       "a.png": b"\x89\0"}), mtime=0),
    tar({"sub/paper.tex": TEX % "\\input{part}", "sub/part.tex": "Text.", "old.tex": "\\documentclass{a} old"})])
def test_every_form_of_a_paper(tmp_path: Path, data: bytes) -> None:
    (entry,) = read(tmp_path, data)
    assert isinstance(entry, Entry)
    assert entry.text == b"\\section{One}Text."
    assert (entry.id, entry.url) == ("2101.00123", "https://arxiv.org/abs/2101.00123")
    assert entry.date is not None
    assert entry.date.isoformat() == "2021-01-01T00:00:00+00:00"
    assert entry.columns == {"title": "T"}


def test_a_bulk_archive_gives_its_papers_and_names_the_others(tmp_path: Path) -> None:
    members: dict[str, str | bytes] = {
        "0001/astro-ph0001001.gz": gzip.compress((TEX % "Old.").encode(), mtime=0),
        "0001/astro-ph0001002.pdf": b"%PDF-1.4 \0",
        "0001/hep-th0001003.gz": gzip.compress(b"%auto-ignore\nThis paper has been withdrawn.", mtime=0),
        "0001/math.AG0001004.gz": gzip.compress(tar({"figure.eps": "%!PS", "notes.txt": "no markup"}), mtime=0),
        "0001/math0001005.gz": gzip.compress(b"%!PS-Adobe", mtime=0), "0001/math0001006.gz": gzip.compress(b"<html>A "
            b"page.</html>", mtime=0),
        "0001/math0001007.gz": gzip.compress(tar({"a.tex": "\\alpha only a fragment"}), mtime=0),
        "0001/math0001008.gz": gzip.compress((TEX % ("x" * 9000)).encode(), mtime=0)[:-40], "0001/README": b"about",
        "0001/math0001009.gz": gzip.compress((TEX % "Last.").encode(), mtime=0)}
    counts: Counter[str] = Counter()
    entries = read(tmp_path, tar(members), "arXiv_src_0001_001.tar", counts)
    got = {entry.id: entry.reason for entry in entries if isinstance(entry, Entry)}
    assert got == {"astro-ph/0001001": None, "astro-ph/0001002": "pdf_only", "hep-th/0001003": "withdrawn",
                   "math.AG/0001004": "no_tex", "math/0001005": "postscript_only", "math/0001006": "no_tex",
                   "math/0001007": "no_main_file", "math/0001008": None, "math/0001009": None}
    assert [entry.what.split(":")[0] for entry in entries if isinstance(entry, Damage)] == ["0001/math0001008.gz"]
    assert counts["members_that_are_no_papers"] == 1
    assert [entry.position for entry in entries if isinstance(entry, Entry)] == [0, 1, 2, 3, 4, 5, 6, 7, 9]


def test_a_paper_that_is_too_large_or_unpacks_to_too_much_is_left_out(tmp_path: Path) -> None:
    bomb = gzip.compress(b"\\documentclass{a}" + b" " * (20 << 20), mtime=0)
    assert len(bomb) < 1 << 20
    for data in (bomb, b"x" * (2 << 20), gzip.compress(tar({f"{n}.tex": "y" * 600_000 for n in range(5)}), mtime=0)):
        (entry,) = read(tmp_path, data, max_paper_bytes=1 << 20)
        assert isinstance(entry, Entry)
        assert entry.reason == "too_large"


@pytest.mark.parametrize(("files", "main"), [
    ({"a.tex": "\\documentclass{x}", "b.tex": "\\documentclass{x}\\begin{document}"}, "b.tex"),
    ({"a.tex": "\\documentclass{x}\\begin{document}", "ms.tex": "\\documentclass{x}\\begin{document}"}, "ms.tex"),
    ({"a.tex": "\\documentclass{x}\\begin{document}longer", "b.tex": "\\documentclass{x}\\begin{document}\\input{a}"},
     "b.tex"),
    ({"a.tex": "%\\documentclass{x}\\begin{document}", "b.tex": "\\magnification=1200 \\bye"}, "b.tex"),
    ({"a.tex": "\\documentclass{x}\\begin{document}", "b.tex": "\\documentstyle{x}",
      "00README.XXX": "b.tex toplevelfile"}, "b.tex"),
    ({"a.tex": "x", "b.sty": "\\documentclass"}, None)])
def test_the_main_file_is_found(files: dict[str, str], main: str | None) -> None:
    assert main_file(files) == main


@pytest.mark.parametrize(("name", "identifier", "month"), [
    ("0811.1787.tgz", "0811.1787", "2008-11"), ("9912/hep-th9912012.gz", "hep-th/9912012", "1999-12"),
    ("2229143.tar.gz", None, None), ("paper.gz", None, None)])
def test_identifiers_by_name(name: str, identifier: str | None, month: str | None) -> None:
    found, date = identity(name)
    assert found == identifier
    assert (date.isoformat()[:7] if date else None) == month


@pytest.mark.skipif(not (DATA / "dumps").exists(), reason="needs the real excerpts of dumps")
def test_real_papers() -> None:
    reasons: dict[str, str | None] = {}
    for path in sorted((DATA / "dumps" / "arxiv").iterdir()):
        (entry,) = read_arxiv(Dump(str(path), ArxivOptions(), 1 << 24, None, lambda name, n: None))
        assert isinstance(entry, Entry)
        reasons[path.name] = entry.reason
        text = (entry.text or b"").decode()
        if entry.reason is None:
            assert text.startswith("\\section"), path.name
            assert len(text) > 15_000
            for mark in ("\\begin{thebibliography}", "\\newcommand", "\\end{document}", "\n%", "\\bibliographystyle"):
                assert mark not in text, (path.name, mark)
    assert {name: reason for name, reason in reasons.items() if reason} == {
        "2229143.tar.gz": "pdf_only", "sampleF_html.tar.gz": "no_tex"}
    assert len(reasons) == 11
