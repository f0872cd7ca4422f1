"""Dumps of question sites made here, in and out of 7z, some broken, and real excerpts."""

from __future__ import annotations

import io
import subprocess
import sys
from collections import Counter
from hashlib import sha512
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import py7zr
import pytest

from curate.sources.dump_options import StackExchangeOptions
from curate.sources.entries import Dump, Entry
from curate.sources.kinds import detect_kind
from curate.sources.stackexchange import read_stackexchange
from curate.sources.warc import Damage
from manifests.errors import InputError
from tests.paths import DATA

FAST: list[dict[str, int]] = [{"id": py7zr.FILTER_LZMA2, "preset": 0}]
HEAD, TAIL = '\ufeff<?xml version="1.0" encoding="utf-8"?>\n<posts>\n', "</posts>\n"
CODE = "<p>Try <code>a &lt; b</code>:</p>\n<pre><code>if a:\n    b()\n</code></pre>\n<ul><li>one</li><li>two</li></ul>"


def row(number: int, body: str, question: int | None = None, **more: Any) -> str:
    kind: dict[str, Any] = {"PostTypeId": 1, "Title": f"T{number}?"}
    if question is not None:
        kind = {"PostTypeId": 2, "ParentId": question}
    fields = {"Id": number, **kind, "CreationDate": "2012-03-04T05:06:07.890", "Score": 0, "Body": body, **more}
    return "  <row " + " ".join(f"{name}={quoteattr(str(value))}" for name, value in fields.items()) + " />\n"


def read(path: Path, counts: Counter[str] | None = None, **options: Any) -> list[Entry | Damage]:
    def count(name: str, n: int) -> None:
        if counts is not None:
            counts[name] += n

    return list(read_stackexchange(Dump(str(path), StackExchangeOptions(**options), 1 << 20, None, count)))


def write(folder: Path, text: str, name: str = "cooking.stackexchange.com/Posts.xml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def seen(entries: list[Entry | Damage]) -> list[str]:
    return [entry.what if isinstance(entry, Damage) else entry.reason or (entry.text or b"").decode()
            for entry in entries]


def test_a_question_has_its_answers_by_score_wherever_they_stand(tmp_path: Path) -> None:
    rows = [row(3, "<p>Early.</p>", 1, Score=1),
            row(1, CODE, Score=5, Tags="<rice><pot>", ContentLicense="CC BY-SA 3.0"),
            row(4, "<p>Best.</p>", 1, Score=9, ContentLicense="CC BY-SA 4.0"), row(2, "<p>Q2</p>", Tags="|salt|"),
            row(5, "<p>Worst.</p>", 1, Score=-3), row(6, "<p>Lost.</p>", 77), row(7, "<p>Wiki</p>", PostTypeId=5)]
    counts: Counter[str] = Counter()
    first, second = read(write(tmp_path, HEAD + "".join(rows) + TAIL), counts)
    assert isinstance(first, Entry)
    assert (first.text or b"").decode() == (
        "Q: T1?\n\nTry a < b:\n\nif a:\n    b()\n  - one\n  - two\n\nA: Best.\n\nA: Early.\n\nA: Worst.")
    assert first.columns == {"title": "T1?", "tags": ["rice", "pot"], "score": 5,
                             "licence": "CC BY-SA 3.0; CC BY-SA 4.0"}
    assert (first.id, first.position, first.url) == ("1", 1, "https://cooking.stackexchange.com/questions/1")
    assert first.date is not None
    assert first.date.isoformat() == "2012-03-04T05:06:07.890000+00:00"
    assert isinstance(second, Entry)
    assert (second.columns["tags"], second.columns["licence"]) == (["salt"], "CC BY-SA 3.0")
    assert counts == {"answers_without_question": 1, "rows_of_other_types": 1, "posts_with_licence_by_date": 3}


@pytest.mark.parametrize(("date", "licence"), [
    ("2010-01-01T00:00:00", "CC BY-SA 2.5"), ("2018-05-01T23:00:00", "CC BY-SA 3.0"),
    ("2018-05-02T00:00:00", "CC BY-SA 4.0"), ("once", "CC BY-SA 4.0")])
def test_a_licence_that_is_missing_is_that_of_the_date(tmp_path: Path, date: str, licence: str) -> None:
    (entry,) = read(write(tmp_path, HEAD + row(1, "<p>x</p>", CreationDate=date) + TAIL))
    assert isinstance(entry, Entry)
    assert entry.columns["licence"] == licence


def test_scores_and_numbers_of_answers(tmp_path: Path) -> None:
    rows = [row(1, "q", Score=2), row(2, "q", Score=9), row(3, "a", 2, Score=4), row(4, "b", 2, Score=3),
            row(5, "c", 2, Score=0), row(6, "q", Score=8)]
    counts: Counter[str] = Counter()
    entries = read(write(tmp_path, HEAD + "".join(rows) + TAIL), counts, min_question_score=3, min_answer_score=1,
                   max_answers=1, min_answers=1, question_label="", answer_label="")
    assert seen(entries) == ["low_score", "T2?\n\nq\n\na", "few_answers"]
    assert [(e.value, e.threshold) for e in entries if isinstance(e, Entry)] == [(2, 3), (None, None), (0, 1)]
    assert (counts["answers_of_low_score"], counts["answers_beyond_most"]) == (1, 1)


def test_bad_rows_are_named_and_cost_themselves(tmp_path: Path) -> None:
    rows = [row(1, "good"), "  <row Id='2' Body='no end\n", "  <rubbish/>&nbsp;\n", row(3, "\x02"),
            row(4, "also > good /> it"),
            "  <row Id='5' PostTypeId='1' Title='&lol9;' />\n", row(0, "x", Id="six"), row(7, "<div>" * 3000)]
    counts: Counter[str] = Counter()
    got = seen(read(write(tmp_path, HEAD + "".join(rows) + TAIL), counts))
    assert [text[:19] for text in got] == [
        *["row cannot be read:"] * 3, "Q: T1?\n\ngood", "Q: T4?\n\nalso > good", "html_too_deep"]
    assert counts["rows_without_id"] == 1


def test_a_file_that_ends_within_a_row_says_so(tmp_path: Path) -> None:
    got = seen(read(write(tmp_path, HEAD + row(1, "good") + row(2, "lost")[:40])))
    assert got[0].startswith("row cannot be read")
    assert got[1].startswith("file ends before the posts do")
    assert got[2] == "Q: T1?\n\ngood"


def noise(n: int) -> str:
    return "".join(sha512(f"{n} {k}".encode()).hexdigest() for k in range(8))


def pack(folder: Path, text: str, name: str = "Posts.xml", password: str | None = None) -> Path:
    path = folder / "cooking.stackexchange.com.7z"
    with py7zr.SevenZipFile(path, "w", password=password, filters=None if password else FAST) as archive:
        archive.writef(io.BytesIO(b"<users/>"), "Users.xml")
        archive.writef(io.BytesIO(text.encode()), name)
    return path


def test_a_site_in_its_7z_archive(tmp_path: Path) -> None:
    path = pack(tmp_path, HEAD + row(1, "good") + TAIL)
    assert detect_kind(str(path)) == "stackexchange"
    (entry,) = read(path)
    assert isinstance(entry, Entry)
    assert (entry.text, entry.url) == (b"Q: T1?\n\ngood", "https://cooking.stackexchange.com/questions/1")


@pytest.mark.parametrize(("fault", "what"), [
    ("encrypted", "is an encrypted 7z archive"), ("other", r"without a file named \*posts.xml.*it holds Users.xml"),
    ("head", "is a broken 7z archive")])
def test_archives_that_cannot_be_opened_are_named(tmp_path: Path, fault: str, what: str) -> None:
    path = pack(tmp_path, HEAD + TAIL, "Votes.xml" if fault == "other" else "Posts.xml",
                "secret" if fault == "encrypted" else None)
    if fault == "head":
        path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match=what):
        read(path)


def test_what_a_broken_member_gave_before_its_damage_is_kept(tmp_path: Path) -> None:
    path = pack(tmp_path, HEAD + "".join(row(n, noise(n)) for n in range(1, 5000)) + TAIL)
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 0xFF
    path.write_bytes(data)
    entries = read(path)
    (damage,) = [e.what for e in entries if isinstance(e, Damage)]
    assert "Posts.xml of the 7z archive is broken" in damage
    assert sum(isinstance(e, Entry) for e in entries) > 1000


@pytest.mark.skipif(not (DATA / "dumps").exists(), reason="needs the real excerpts of dumps")
def test_real_sites() -> None:
    folder = DATA / "dumps" / "stackexchange"
    counts: Counter[str] = Counter()
    beer = read(folder / "beer" / "Posts.xml", counts)
    assert len(beer) == 454
    assert sum((entry.text or b"").count(b"\n\nA: ") for entry in beer if isinstance(entry, Entry)) == 1074
    assert counts["rows_of_other_types"] == 1576 - 454 - 1074
    teachers = read(folder / "derived-matheducators.stackexchange.com.7z")
    assert len(teachers) > 390
    assert not [entry for entry in teachers if isinstance(entry, Damage)]


_MEASURED = """
import sys
from curate.sources.dump_options import StackExchangeOptions
from curate.sources.entries import Dump
from curate.sources.stackexchange import read_stackexchange
from manifests.tasks import peak_memory_bytes
n = sum(1 for _ in read_stackexchange(Dump(sys.argv[1], StackExchangeOptions(), 1 << 20, None, lambda name, n: None)))
print(n, peak_memory_bytes() >> 20)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_gigabyte_takes_less_than_500_megabytes_of_memory(tmp_path: Path) -> None:
    path = tmp_path / "Posts.xml"
    n_questions = 190_000
    with path.open("w", encoding="utf-8") as stream:
        stream.write(HEAD)
        for n in range(1, n_questions + 1):  # answers lie half the dump behind their questions
            stream.write(row(n, f"<p>{f'question {n * 7919 % 104729} ' * 90}</p>"))
            for k, factor in enumerate((7919, 104729), 1):
                body = f"<p>{f'answer {n * factor % 31337} ' * 170}</p>"
                stream.write(row(n + k * 10**6, body, (n * factor) % n_questions + 1))
        stream.write(TAIL)
    assert path.stat().st_size > 10**9
    done = subprocess.run([sys.executable, "-c", _MEASURED, str(path)], capture_output=True, text=True, check=True)
    n, megabytes = map(int, done.stdout.split())
    assert n == n_questions
    assert megabytes < 500
