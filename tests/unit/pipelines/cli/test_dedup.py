"""`curate dedup` on files of one's own: decisions by the user's ids, in input order, and the kept rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from manifests.errors import InputError, OwnershipError, RecipeError
from manifests.tables import plain_table
from pipelines.cli.main import app
from pipelines.work_folder import claim
from tests.unit.curate.dedup.dedup_reference import edited, prose

TEXT = prose(1, 300)
A = [("a0", TEXT), ("a1", prose(2, 100)), ("a2", TEXT.upper()), ("a3", None)]
B = [("b0", edited(TEXT, 100) + " more"), ("b1", prose(3, 100)), ("b2", prose(2, 100)), ("b3", prose(4, 3)), ("b4", "")]


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["dedup", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    first, second = tmp_path / "a.parquet", tmp_path / "b.jsonl"
    pq.write_table(pa.table({"name": [i for i, _ in A], "body": [t for _, t in A]}), first, row_group_size=3)
    second.write_text("".join(json.dumps({"name": i, "body": t}) + "\n" for i, t in B))
    return [str(first), str(second), "--id-column", "name", "--text-column", "body"]


def decisions(out: Path, part: str) -> list[dict[str, Any]]:
    """What was decided of a part's rows, without their doc_id and cluster_id."""
    folder = out.with_name(f"{out.name}.decisions")
    rows: list[dict[str, Any]] = pq.read_table(folder / part).drop_columns(["doc_id", "cluster_id"]).to_pylist()
    return rows


def kept(out: Path, part: str, *names: str) -> list[dict[str, Any]]:
    """Some columns of the rows that are kept."""
    rows: list[dict[str, Any]] = pq.read_table(out / part, columns=list(names)).to_pylist()
    return rows


def test_decisions_are_the_user_s_rows_in_order(tmp_path: Path, files: list[str]) -> None:
    out = tmp_path / "out"
    facts = json.loads(run(*files, "--out", str(out), "--format", "json"))
    a, b = decisions(out, "part-a.parquet"), decisions(out, "part-b.parquet")
    assert [list(r) for r in (a[0], b[0])] == [[
        "name", "keep", "reason", "value", "threshold", "duplicate_of", "similarity"]] * 2
    assert [r["name"] for r in a] == [i for i, _ in A]
    assert [r["name"] for r in b] == [i for i, _ in B]
    assert [(r["reason"], r["duplicate_of"]) for r in a + b] == [
        (None, None), (None, None), ("exact_duplicate", "a0"), (None, None),
        ("near_duplicate", "a0"), (None, None), ("exact_duplicate", "a1"), (None, None), (None, None)]
    assert [r["keep"] for r in a + b] == [r["reason"] is None for r in a + b]
    assert 0.9 < b[0]["similarity"] < 1
    assert (facts["documents"], facts["kept"]) == (9, 6)
    assert facts["dropped"] == {"exact_duplicate": 2, "near_duplicate": 1}
    assert kept(out, "part-b.parquet", "name", "body") == [
        {"name": i, "body": t} for i, t in B if i in ("b1", "b3", "b4")]
    assert sorted(p.name for p in out.iterdir()) == ["part-a.parquet", "part-b.parquet"]


def test_exact_alone_and_the_order_of_files(tmp_path: Path, files: list[str]) -> None:
    run(*files[:2][::-1], *files[2:], "--out", str(tmp_path / "out"), "--exact")
    got = decisions(tmp_path / "out", "part-a.parquet")
    assert [(r["reason"], r["duplicate_of"]) for r in got] == [
        (None, None), ("exact_duplicate", "b2"), ("exact_duplicate", "a0"), (None, None)]
    run(*files, "--out", str(tmp_path / "long"), "--survivor-order", "length")
    assert [r["duplicate_of"] for r in decisions(tmp_path / "long", "part-a.parquet")] == ["b0", None, "b0", None]
    run(*files, "--out", str(tmp_path / "given"), "--survivor-order", "source,length")
    assert [r["duplicate_of"] for r in decisions(tmp_path / "given", "part-a.parquet")] == [None, None, "a0", None]


def test_urls_keep_the_longest(tmp_path: Path) -> None:
    path = tmp_path / "pages.parquet"
    pq.write_table(pa.table({"text": [prose(1, 20), prose(2, 30), prose(3, 10)],
                             "url": ["http://example.org/a", "https://example.org/a/", None]}), path)
    run(str(path), "--out", str(tmp_path / "out"), "--urls", "longest")
    got = decisions(tmp_path / "out", "part-pages.parquet")
    assert [(r["id"], r["reason"], r["duplicate_of"]) for r in got] == [
        ("0", "url_duplicate", "1"), ("1", None, None), ("2", None, None)]


def test_partitions_change_no_byte(tmp_path: Path) -> None:
    paths = []
    for n in range(2):
        paths.append(tmp_path / f"f{n}.jsonl")
        texts = [edited(TEXT, 7 * n + i) if i % 3 else prose(10 * n + i, 40) for i in range(6)]
        paths[-1].write_text("".join(json.dumps({"id": f"{n}-{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
    parts = []
    for partitions in (4, 3):
        (tmp_path / "dedup.yaml").write_text(f"partitions: {partitions}\nmax_removed_fraction: 1.0\n")
        out = tmp_path / str(partitions)
        run(*map(str, paths), "--config", str(tmp_path / "dedup.yaml"), "--out", str(out))
        parts.append([p.read_bytes() for p in sorted(out.iterdir())])
    assert len(parts[0]) == 2
    assert parts[0] == parts[1]


@pytest.mark.ray
def test_workers_change_no_byte(tmp_path: Path, files: list[str]) -> None:
    for workers in ("1", "2"):
        run(*files, "--paragraphs", "--minhash", "--workers", workers, "--out", str(tmp_path / workers))
    parts = [{p.relative_to(root): p.read_bytes() for p in root.rglob("*.parquet")}
             for root in (tmp_path / "1", tmp_path / "2")]
    assert len(parts[0]) == 2
    assert parts[0] == parts[1]


def test_what_cannot_be_read_is_named_and_the_others_are_done(tmp_path: Path, files: list[str]) -> None:
    bad, empty, other = tmp_path / "bad.parquet", tmp_path / "empty.jsonl", tmp_path / "other.jsonl"
    bad.write_bytes(b"PAR1 and then nothing")
    empty.write_bytes(b"")
    other.write_text('{"name": "x", "texts": "under another name"}\n')
    broken = [str(bad), str(empty), str(other)]
    done = tmp_path / "done"
    result = CliRunner().invoke(app, ["dedup", files[0], *broken, *files[1:], "--out", str(done)])
    assert result.exit_code == 1
    for path in broken:
        assert f"curate: {path}: " in result.stderr
    run(*files, "--out", str(tmp_path / "alone"))
    for part in ("part-a.parquet", "part-b.parquet"):
        assert (done / part).read_bytes() == (tmp_path / "alone" / part).read_bytes()
    assert len([p for p in done.rglob("*") if p.is_file()]) == 2
    with pytest.raises(InputError, match=r"(?s)bad\.parquet.*empty\.jsonl"):
        run(str(bad), str(empty), "--out", str(tmp_path / "out"))


def test_wrong_names_are_refused(tmp_path: Path, files: list[str]) -> None:
    out = ["--out", str(tmp_path / "out")]
    with pytest.raises(InputError, match="no id under 'nope'"):
        run(files[0], "--id-column", "nope", "--text-column", "body", *out)
    with pytest.raises(InputError, match=r"(?s)no date under 'date'.*--date-column"):
        run(*files, *out, "--urls", "latest")
    with pytest.raises(RecipeError, match="survivor_order"):
        run(*files, *out, "--survivor-order", "luck")


def test_dates_and_scores_of_one_s_own_decide(tmp_path: Path) -> None:
    """The same instants however they are written, in both kinds of file."""
    dates = ["2020-03-01", "20200301120000", "2020-03-01T13:00:00+00:30", 1583070000, None, "no date"]  # 13:40 last
    rows = [{"text": prose(i, 20), "url": "http://example.org/a", "date": d, "quality_score": i % 3}
            for i, d in enumerate(dates)]
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps(r) + "\n" for r in rows))
    run(str(lines), "--out", str(tmp_path / "a"), "--urls", "latest")
    assert [r["keep"] for r in decisions(tmp_path / "a", "part-lines.parquet")] == [i == 3 for i in range(6)]
    table = tmp_path / "table.parquet"
    stamps = pa.array([0, 1, 3, 2], pa.timestamp("s", "UTC"))
    pq.write_table(pa.table({"text": [TEXT] * 4, "when": stamps, "score": [0.1, 0.9, 0.2, 0.3]}), table)
    run(str(table), "--out", str(tmp_path / "b"), "--survivor-order", "date", "--date-column", "when")
    assert [r["keep"] for r in decisions(tmp_path / "b", "part-table.parquet")] == [False, False, True, False]
    run(str(table), "--out", str(tmp_path / "c"), "--survivor-order", "quality", "--quality-column", "score")
    assert [r["keep"] for r in decisions(tmp_path / "c", "part-table.parquet")] == [False, True, False, False]


def test_ids_that_are_texts_and_numbers_are_written_as_the_decisions_have_them(tmp_path: Path) -> None:
    path = tmp_path / "mixed.jsonl"
    rows = [{"id": "a", "text": prose(1, 9), "n": 1}, {"id": 7, "text": prose(2, 9), "n": "x"}, {"text": prose(3, 9)}]
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    run(str(path), "--out", str(tmp_path / "out"))
    rows_kept = kept(tmp_path / "out", "part-mixed.parquet", "id", "n")
    decided = decisions(tmp_path / "out", "part-mixed.parquet")
    assert [r["id"] for r in rows_kept] == [r["id"] for r in decided] == ["a", "7", "2"]
    assert [r["n"] for r in rows_kept] == ["1", '"x"', None]


def test_binary_ids_are_shown_as_hexadecimal_digits(tmp_path: Path) -> None:
    ids = [bytes([200 + i]) * 16 for i in range(3)]
    pq.write_table(pa.table({"doc_id": pa.array(ids, pa.binary()), "text": [TEXT, TEXT, prose(2, 100)]}),
                   tmp_path / "a.parquet")
    run(str(tmp_path / "a.parquet"), "--out", str(tmp_path / "out"))
    rows = decisions(tmp_path / "out", "part-a.parquet")
    assert [row["id"] for row in rows] == [i.hex() for i in ids]
    assert [row["duplicate_of"] for row in rows] == [None, ids[0].hex(), None]


def test_an_escaped_lone_surrogate_costs_itself_alone(tmp_path: Path) -> None:
    lines = ('{"id":"a","text":"\\ud800 lone","by":["\\udfff"]}', '{"id":"b","text":"two words"}')
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    run(str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"))
    assert kept(tmp_path / "out", "part-a.parquet", "id", "text", "by") == [
        {"id": "a", "text": "\ufffd lone", "by": ["\ufffd"]}, {"id": "b", "text": "two words", "by": None}]


def test_lines_that_cannot_be_read_are_named_counted_and_left_out(tmp_path: Path) -> None:
    lines = [b'{"id": "a", "text": "one text", "n": 1}', b"{broken", b"", b'["no object"]', b"\xff{",
             b'{"id": "b", "n": 2}', b'{"id": "c", "text": "another text"}', b"null", b""]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    done = CliRunner().invoke(app, ["dedup", str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"), "--format",
                                    "json"])
    assert done.exit_code == 0, done.output
    for row, what in ((1, "line 2 is not JSON"), (3, "line 4 is not a JSON object"), (4, "line 5 is not JSON"),
                      (7, "line 8 is not a JSON object")):
        assert f"a.jsonl: at {row}: {what}" in done.stderr
    assert done.stderr.count("a.jsonl: at ") == 4
    assert "a.jsonl: 4 places cannot be read, and what stands there is left out" in done.stderr
    assert [json.loads(done.stdout)[name] for name in ("documents", "kept")] == [3, 3]
    assert [(r["id"], r["keep"]) for r in decisions(tmp_path / "out", "part-a.parquet")] == [
        ("a", True), ("b", True), ("c", True)]
    assert kept(tmp_path / "out", "part-a.parquet", "id", "text", "n") == [
        {"id": "a", "text": "one text", "n": 1}, {"id": "b", "text": "", "n": 2},
        {"id": "c", "text": "another text", "n": None}]


def test_nothing_is_left_of_a_command_without_a_readable_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        run(str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.jsonl"]


def test_the_work_of_another_command_is_named(tmp_path: Path, files: list[str]) -> None:
    claim(str(tmp_path / "out"), "filter")
    with pytest.raises(OwnershipError, match=r"out\.work") as error:
        run(*files, "--out", str(tmp_path / "out"))
    assert "--fresh" not in str(error.value)
    assert "curate filter" in str(error.value)
    assert "delete that folder" in str(error.value)


def test_rows_whose_columns_are_views_are_kept_with_all_of_them(tmp_path: Path) -> None:
    view = pa.string_view()
    table = pa.table({
        "id": pa.array(["a", "b", "c"], view), "text": pa.array([TEXT, TEXT, prose(2, 100)], view),
        "raw": pa.array([b"1", None, b"3" * 30], pa.binary_view()),
        "tags": pa.array([["x"], [], None], pa.list_(view))})
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=2)
    assert pq.read_schema(tmp_path / "t.parquet").field("text").type == view
    run(str(tmp_path / "t.parquet"), "--out", str(tmp_path / "out"))
    rows = kept(tmp_path / "out", "part-t.parquet", *table.column_names)
    assert rows == plain_table(table).take([0, 2]).to_pylist()
