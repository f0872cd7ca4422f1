"""The stage on archives and text files made here, and on a real one."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import lz4.frame
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from curate.documents.config import ExtractConfig
from curate.documents.stage import extract
from curate.extraction.html import decode, is_html
from curate.heuristics.signals import SIGNAL_FIELDS
from curate.language.download import lid_model_path
from curate.sources.responses import decode_http
from curate.sources.url_config import UrlRules
from curate.sources.url_rules import url_reasons
from curate.sources.warc import WarcEntry, read_warc
from curate.text.urls import hosts_of
from manifests.errors import InputError
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import DOCUMENTS, EXCLUSIONS
from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, execute
from tests.paths import DATA

PLAIN = ExtractConfig(identify_language=False)
ARTICLE = f"<html><body><article>{'<p>The harbour was quiet, and nobody spoke of it.</p>' * 4}</article></body></html>"


def page(url: str, body: bytes, status: str = "200 OK", kind: str = "text/html", more: str = "",
         record: str = "response") -> bytes:
    block = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}\r\n".encode() + body if record == "response" else body
    head = (f"WARC/1.0\r\nWARC-Type: {record}\r\nWARC-Record-ID: <urn:{url}>\r\nWARC-Date: 2020-01-02T03:04:05.678Z\r\n"
            f"WARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n")
    return gzip.compress(head.encode() + block + b"\r\n\r\n")


def run(folder: Path, data: bytes | Path, kind: str, config: ExtractConfig = PLAIN, **variables: Any) -> TaskRecord:
    path = data if isinstance(data, Path) else folder / "input"
    if isinstance(data, bytes):
        path.write_bytes(data)
    facts = {"source": "crawl", "origin_path": "a/input", "kind": kind, **variables}
    task = StageTask("extract", 1, "crawl/part-0", config, {}, {"source": InputRef((str(path),), "")}, facts)
    return execute(Storage(str(folder / "run")), task, extract)


def tables(folder: Path, record: TaskRecord) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    assert [o.role for o in record.outputs] == ["documents", "exclusions"]
    assert [o.path for o in record.outputs] == ["extract/crawl/part-0.parquet",
                                               "extract/crawl/exclusions/part-0.parquet"]
    documents, excluded = (pq.read_table(folder / "run" / o.path) for o in record.outputs)
    assert excluded.schema.equals(EXCLUSIONS)
    dropped = sum(n for name, n in record.counters.items() if name.startswith("dropped_"))
    assert len(documents) == record.counters.get("documents", 0)
    assert len(excluded) == dropped
    assert record.counters.get("candidates", 0) == len(documents) + dropped
    return documents.to_pylist(), excluded.to_pylist()


def test_reasons_of_pages(tmp_path: Path) -> None:
    html = ARTICLE.encode()
    records = [
        page("http://Ex.org:80/good", html), page("dns:ex.org", html), page("http://sub.bad.example/x", html),
        page("http://ex.org/a.PDF?x=1", html), page("http://ex.org/404", html, "404 Not Found"),
        page("http://ex.org/image", b"\x89PNG....", kind="text/html"),
        page("http://ex.org/json", b"{}", kind="text/json"),
        page("http://ex.org/big", html + b" " * 9000), page("http://ex.org/empty", b"<html><body></body></html>"),
        page("http://ex.org/short", b"<html><body><p>Hi</p></body></html>"),
        page("http://ex.org/bomb", gzip.compress(html + b" " * 9000), more="Content-Encoding: gzip\r\n"),
        page("http://ex.org/sniffed", html, kind="application/octet-stream"),
        page("http://ex.org/request", b"", record="request")]
    config = ExtractConfig(identify_language=False, max_html_bytes=4000, min_text_bytes=20,
                           urls=UrlRules(blocked_hosts=("BAD.example",)))
    record = run(tmp_path, b"".join(records), "warc", config)
    documents, excluded = tables(tmp_path, record)
    assert [d["url"] for d in documents] == ["http://Ex.org:80/good", "http://ex.org/sniffed"]
    assert [(e["url"].rpartition("/")[2], e["reason"], e["value"]) for e in excluded] == [
        ("dns:ex.org", "url_scheme", None), ("x", "blocked_host", None), ("a.PDF?x=1", "url_extension", None),
        ("404", "http_status", 404), ("image", "not_html", None), ("json", "not_html", None),
        ("big", "html_too_large", 4001), ("empty", "no_text", None), ("short", "text_too_short", 2),
        ("bomb", "html_too_large", 4001)]
    assert record.counters["records_request"] == 1
    assert record.counters["records_response"] == 12
    assert "damaged" not in record.counters
    good = documents[0]
    assert good["host"] == "ex.org"
    assert good["date"].isoformat() == "2020-01-02T03:04:05.678000+00:00"
    assert good["text"].count("harbour") == 4
    assert good["n_bytes"] == len(good["text"].encode())
    assert (good["origin_offset"], good["origin_length"]) == (0, len(records[0]))
    assert good["doc_id"] == document_id("crawl", "a/input", 0)
    assert good["signal_n_words"] == 36


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    data = b"".join(page(f"http://ex.org/{i}", ARTICLE.replace("harbour", f"harbour {i}").encode()) for i in range(30))
    digests = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        digests.append([o.digest for o in run(tmp_path / name, data, "warc").outputs])
    assert digests[0] == digests[1]


def test_damage_is_named_and_costs_one_page(tmp_path: Path) -> None:
    pages = [page(f"http://ex.org/{i}", ARTICLE.encode()) for i in range(5)]
    broken = bytearray(b"".join(pages))
    broken[sum(map(len, pages[:2])) + len(pages[2]) // 2] ^= 0xFF
    record = run(tmp_path, bytes(broken), "warc")
    documents, _ = tables(tmp_path, record)
    assert [d["url"][-1] for d in documents] == ["0", "1", "3", "4"]
    assert record.damage[0].where == f"a/input@{sum(map(len, pages[:2]))}"


@pytest.mark.parametrize(("kind", "data"), [
    ("warc", b""), ("warc", b"<html>not an archive</html>"), ("warc", gzip.compress(b"nothing of the kind")),
    ("wet", b"\0" * 100), ("parquet", b"PAR1"), ("jsonl", b"\x1f\x8b\x08broken"), ("avro", b"x")],
    ids=["empty", "html", "gzip", "wet", "parquet", "jsonl", "avro"])  # of the bytes, gzip's would hold the time
def test_a_file_that_is_not_of_its_kind_is_an_input_error(tmp_path: Path, kind: str, data: bytes) -> None:
    with pytest.raises(InputError, match="input"):
        run(tmp_path, data, kind)
    assert not (tmp_path / "run/extract/crawl").exists()
    with pytest.raises(InputError, match="absent"):
        run(tmp_path, tmp_path / "absent", kind)


def test_wet_texts(tmp_path: Path) -> None:
    data = page("http://ex.org/1", "Zürich liegt am See.".encode(), record="conversion") + page(
        "http://ex.org/2", b" \n", record="conversion")
    documents, excluded = tables(tmp_path, run(tmp_path, data, "wet"))
    assert [d["text"] for d in documents] == ["Zürich liegt am See."]
    assert [e["reason"] for e in excluded] == ["no_text"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress, lz4.frame.compress],
                         ids=["plain", "gzip", "zstd", "lz4"])
def test_jsonl(tmp_path: Path, pack: type[bytes]) -> None:
    lines = ['{"id": "a", "text": "one\\u0000 two", "url": "https://x.org/a.pdf", "extra": [1, {}]}', "",
             '{"id": 7, "text": "three"}',
             "{broken", '{"id": "c"}', '{"doc_id": "d", "text": "\\ud800 lone"}', "[1]", '{"id": "e", "text": 5}']
    record = run(tmp_path, pack("\n".join(lines).encode()), "jsonl")
    documents, excluded = tables(tmp_path, record)
    assert [(d["record_id"], d["text"], d["origin_offset"]) for d in documents] == [
        ("a", "one two", 0), ("7", "three", 2), ("d", "\ufffd lone", 5)]
    assert documents[0]["host"] == "x.org"
    assert {e["reason"] for e in excluded} == {"no_text"}
    assert [e["origin_offset"] for e in excluded] == [1, 3, 4, 6, 7]
    assert [d.where for d in record.damage] == ["a/input@3", "a/input@6"]


def test_jsonl_ids_do_not_depend_on_blocks_and_long_lines_are_named(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(i), "text": f"text {i} " * (i % 50 + 1)}) for i in range(3000)]
    lines[1500] = json.dumps({"id": "long", "text": "x" * 5_000_000})
    config = ExtractConfig(identify_language=False, max_text_bytes=1000)
    record = run(tmp_path, "\n".join(lines).encode(), "jsonl", config)
    documents, _ = tables(tmp_path, record)
    assert [int(d["record_id"]) for d in documents] == [i for i in range(3000) if i != 1500]
    assert all(d["origin_offset"] == int(d["record_id"]) for d in documents)
    assert [d.where for d in record.damage] == ["a/input@1500"]
    file = pq.ParquetFile(tmp_path / "run/extract/crawl/part-0.parquet")
    assert max(file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)) <= 1000


def test_parquet_columns_by_name_and_type(tmp_path: Path) -> None:
    table = pa.table({"doc_id": pa.array([bytes(16), bytes(range(16))], pa.binary(16)),
                      "body": pa.array(["uno", None]).dictionary_encode(), "n": [1, 2]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    record = run(tmp_path, buffer.getvalue(), "parquet", text_column="body")
    documents, excluded = tables(tmp_path, record)
    assert [(d["record_id"], d["text"]) for d in documents] == [("00" * 16, "uno")]
    assert [e["origin_offset"] for e in excluded] == [1]
    with pytest.raises(InputError, match="body"):
        run(tmp_path, buffer.getvalue(), "parquet")


def test_text_files(tmp_path: Path) -> None:
    documents, _ = tables(tmp_path, run(tmp_path, gzip.compress("A book, naïve.".encode("latin-1")), "text"))
    assert documents[0]["text"] == "A book, naïve."
    _, excluded = tables(tmp_path, run(tmp_path, b"x" * 3000, "text", ExtractConfig(max_text_bytes=100)))
    assert [(e["reason"], e["threshold"]) for e in excluded] == [("text_too_long", 100)]


def test_languages(tmp_path: Path) -> None:
    try:
        lid_model_path()
    except InputError as error:
        pytest.skip(str(error))
    texts = ["The harbour was quiet and nobody spoke of it.",
             "Der Hafen war still, und niemand sprach davon.", "zx qv 1"]
    data = "\n".join(json.dumps({"id": str(i), "text": t}) for i, t in enumerate(texts)).encode()
    documents, excluded = tables(tmp_path, run(tmp_path, data, "jsonl", ExtractConfig(min_language_score=0.5)))
    assert [d["language"] for d in documents] == ["en"]
    assert excluded[0]["reason"] == "language"
    documents, excluded = tables(tmp_path, run(tmp_path, data, "jsonl", filter_language=False, config=ExtractConfig()))
    assert [d["language"] for d in documents][:2] == ["en", "de"]
    assert excluded == []


def test_hosts_and_url_rules() -> None:
    urls = pa.array(["https://user:pw@WWW.Ex.org:8080/p", "http://[::1]:80/x", "mailto:a@b.c", "not a url", None,
                     "http://a.b./"])
    assert hosts_of(urls).to_pylist() == ["www.ex.org", "[::1]", None, None, None, "a.b"]
    urls = pa.array(["http://x.pdf", "http://x.org/a.b/c", "http://x.org/a.jpg#t", "HTTP://x.org/?f=a.pdf",
                     "http://y.x.org/", None])
    reasons = url_reasons(urls, hosts_of(urls), UrlRules(blocked_hosts=("y.x.org",)))
    assert reasons.to_pylist() == [None, None, "url_extension", None, "blocked_host", None]


@pytest.mark.parametrize(("body", "charset", "text"), [
    ("naïve".encode(), "latin-1", "naïve"),
    ("naïve".encode("cp1252"), None, "naïve"),
    ("<meta charset='windows-1251'>Привет, мир".encode("cp1251"), None, "<meta charset='windows-1251'>Привет, мир"),
    ("<p>日本語のページです。</p>".encode("shift_jis"), "Shift_JIS", "<p>日本語のページです。</p>"),
    ("日本語".encode("iso2022_jp"), "iso-2022-jp", "日本語"),
    (b"\xff\xfe" + "hi".encode("utf-16-le"), "utf-8", "hi"),
    (("é" * 50).encode() + b"\xff", "utf-8", "é" * 50 + "\ufffd"),
    ("Größe und Maß".encode("latin-1"), "utf-8", "Größe und Maß"),
    (b"plain", "no-such-charset", "plain"),
    (b"", None, ""),
])
def test_encodings(body: bytes, charset: str | None, text: str) -> None:
    assert decode(body, charset) == text


def test_is_html() -> None:
    assert is_html("text/html", b"anything")
    assert is_html(None, b"<!DOCTYPE html><p>x")
    assert not is_html("application/json", b"<html>")
    assert not is_html("text/html", b"%PDF-1.4")
    assert not is_html(None, b"hello")


@pytest.mark.skipif(not DATA.exists(), reason="real archives are not on this machine")
def test_a_real_archive(tmp_path: Path) -> None:
    path = DATA / "warc/real_html_responses.warc.gz"
    documents, excluded = tables(tmp_path, run(tmp_path, path, "warc"))
    assert len(documents) + len(excluded) == 1196
    assert len(documents) > 1000
    assert len({d["doc_id"] for d in documents}) == len(documents)
    stored = pq.read_table(tmp_path / "run/extract/crawl/part-0.parquet")
    assert stored.schema.equals(pa.schema([*DOCUMENTS, *SIGNAL_FIELDS]))
    stored.validate(full=True)
    for document in documents[::100]:
        with path.open("rb") as stream:
            stream.seek(document["origin_offset"])
            one = io.BytesIO(stream.read(document["origin_length"]))
        (entry,) = read_warc(one, frozenset({"response"}), 1 << 24)
        assert isinstance(entry, WarcEntry)
        assert entry.url == document["url"]
        assert entry.block is not None
        assert decode_http(entry.block, 1 << 24) is not None


def test_pages_in_encodings_of_the_web(tmp_path: Path) -> None:
    sentence = "{} and the harbour was quiet for the rest of the day, so that nobody spoke of it. "
    cases = [("shift_jis", "①㈱髙橋".encode("cp932"), "①㈱髙橋"), ("ks_c_5601-1987", "뷁똠".encode("cp949"), "뷁똠"),
             ("big5", "啲嘢喺".encode("big5hkscs"), "啲嘢喺"), ("gb2312", b"\x80", "€"),
             ("x-euc-jp", b"\xad\xa1", "①"), ("iso-2022-jp", b"\x1b$B-!\x1b(B\x1b$B0l\x1b(B", "①一"),
             ("x-mac-cyrillic", "Привет".encode("mac_cyrillic"), "Привет")]
    pages = [page(f"http://x.org/{label}", b"<meta charset=" + label.encode() + b"><article><p>" + 3 * sentence.encode()
                  .replace(b"{}", raw) + b"</article>") for label, raw, _ in cases]
    pages.append(page("http://x.org/kr", b"<meta charset=iso-2022-kr><p>\x1b$)C\x0e3*\x0f" + sentence.encode() * 3))
    record = run(tmp_path, b"".join(pages), "warc")
    documents, (excluded,) = tables(tmp_path, record)
    assert [d["text"].split(" and ")[0] for d in documents] == [text for _, _, text in cases]
    assert not any("\ufffd" in d["text"] for d in documents)
    assert (excluded["url"], excluded["reason"]) == ("http://x.org/kr", "unreadable")
