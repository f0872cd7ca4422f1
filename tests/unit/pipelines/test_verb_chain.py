"""Commands in a row: each writes the documents that it keeps, whole folders that the next one, and anybody, reads."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from manifests.dataset import PackedDataset
from manifests.errors import CurateError, InputError, OwnershipError, RecipeError
from pipelines.cli.main import app
from pipelines.loading import validate
from pipelines.running import Settings, run

QUIZ = "how many lamps does the keeper of the old northern lighthouse light before midnight in winter"
JUNK = "click here\nclick here\nclick here"


def curate(*words: str, code: int = 0) -> Any:
    """What a command prints for programs."""
    done = CliRunner().invoke(app, [*words, "--format", "json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return json.loads(done.stdout.splitlines()[-1])


def prose(seed: int, n_words: int) -> str:
    """Words that no two seeds share but for the common ones."""
    draw = random.Random(seed)
    return " ".join(draw.choice(["the", "of", "and", "that", "with", "".join(draw.choices("abcdefghilmnoprstuv", k=6))])
                    for _ in range(n_words))


def page(seed: int, *more: str) -> str:
    return "\n".join([*(prose(100 * seed + i, 40).capitalize() + "." for i in range(5)), *more])


def rows_of(name: str, first: int, n: int) -> list[dict[str, Any]]:
    """Pages, some of which come twice, are junk, or hold a question of a test."""
    draw, rows = random.Random(first), []
    for i in range(first, first + n):
        text = page(i - 1 if i % 7 == 3 else i)
        if i % 5 == 1:
            text += f"\n{prose(5000 + i, 60)} {QUIZ} {prose(6000 + i, 60)}."
        rows.append({"id": f"{name}{i}", "text": JUNK if i % 6 == 2 else text, "url": f"http://{name}.org/{i}",
                     "mood": draw.choice(["good", "bad"])})
    return rows


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A JSON Lines file and a Parquet file, the latter without ids."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows_of("a", 0, 14)))
    table = pa.Table.from_pylist(rows_of("b", 12, 12)).drop_columns(["id"])
    pq.write_table(table, tmp_path / "in/b[1].parquet")
    (tmp_path / "in/quiz.jsonl").write_text(json.dumps({"q": QUIZ}) + "\n")
    return [str(tmp_path / "in/a.jsonl"), str(tmp_path / "in/b[1].parquet")]


RULES = ["--preset", "gopher", "--threshold", "gopher_too_few_words=20"]
CUT = ["--window", "5", "--min-piece", "20"]


def read(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder, missing_columns="insert")


def test_the_chain_keeps_what_one_recipe_keeps(tmp_path: Path, files: list[str]) -> None:
    b, c, d, e, f, tokenizer = (str(tmp_path / name) for name in ("b", "c", "d", "e", "f", "t.json"))
    quiz = str(tmp_path / "in/quiz.jsonl")
    first = curate("filter", *files, *RULES, "--out", b)
    second = curate("dedup", b, "--out", c)
    third = curate("decontaminate", c, "--benchmarks", quiz, *CUT, "--out", d)
    assert (first["documents"], second["documents"], third["documents"]) == (26, first["kept"], second["kept"])
    assert min(26 - first["kept"], second["documents"] - second["kept"], third["documents_contaminated"]) > 1
    recipe = validate({
        "name": "whole", "sources": {"pages": {"files": [files[0], files[1].replace("[", "[[]")], "kind": "table",
                                               "in_order": True}},
        "classifier": None, "mixture": {"weights": {"pages": 1}}, "extract": {"identify_language": False},
        "select": {"rules": {"preset": "gopher", "thresholds": {"gopher_too_few_words": 20}}},
        "decontaminate": {"window": 5, "min_piece": 20, "benchmarks": [
            {"name": "quiz", "path": quiz, "fields": ["q"]}]}})
    run(recipe, str(tmp_path / "run"), Settings("inline", until="clean"))
    clean = [row for part in (tmp_path / "run/clean/pages").glob("*/*.parquet")
             for row in pq.read_table(part, columns=["url", "text"]).to_pylist()]
    kept = [row for part in Path(d).glob("*.parquet")
            for row in pq.read_table(part, columns=["url", "text"]).to_pylist()]
    assert Counter((r["url"], r["text"]) for r in kept) == Counter((r["url"], r["text"]) for r in clean)
    assert not any(QUIZ in row["text"] for row in kept)
    assert sorted(p.name for p in Path(d).iterdir()) == ["part-a.parquet", "part-b-1-.parquet"]
    table = pq.read_table(Path(d, "part-a.parquet"))
    assert table.column_names[:4] == ["id", "text", "url", "mood"]
    texts = {row["id"]: row["text"] for row in rows_of("a", 0, 14)}
    for row in table.to_pylist():  # edits lead back to the text that came
        assert "".join(texts[row["id"]][s["start"] : s["end"]] for s in row["edits"]) == row["text"]
        assert (row["parent_id"] is None) == (row["text"] == texts[row["id"]])

    curate("tokenizer", "train", d, "--vocab-size", "300", "--out", tokenizer)
    encoded = curate("tokenizer", "encode", d, "--tokenizer", tokenizer, "--out", e)
    assert encoded["documents"] == len(kept)
    curate("pack", e, "--row-length", "64", "--out", f)
    assert sum(len(PackedDataset(f, split)) for split in ("train", "val") if Path(f, "packed", split).exists()) > 10
    assert not list(tmp_path.glob("*.work"))


def test_anybody_reads_the_folders_whole(tmp_path: Path, files: list[str]) -> None:
    import datasets

    out = tmp_path / "out"
    facts = curate("filter", *files, *RULES, "--out", str(out))
    columns = ["url", "text", "doc_id"]
    for folder, n in ((out, facts["kept"]), (tmp_path / "out.decisions", facts["documents"])):
        every = f"{folder}/**/*.parquet"
        assert len(pl.read_parquet(folder, missing_columns="insert")) == n
        assert len(pl.read_parquet(every, missing_columns="insert")) == n
        counted = duckdb.sql(f"SELECT count(*) FROM read_parquet('{every}', union_by_name = true)")
        assert counted is not None
        assert counted.fetchall() == [(n,)]
        assert ds.dataset(folder).count_rows() == n
    assert set(columns) < set(pq.read_schema(out / "part-a.parquet").names)
    whole = datasets.load_dataset("parquet", data_files=f"{out}/**/*.parquet", split="train",
                                  columns=columns, cache_dir=str(tmp_path / "cache"))
    assert len(whole) == facts["kept"]


def test_decisions_alone_are_joined_to_the_rows_they_are_about(tmp_path: Path, files: list[str]) -> None:
    """By row, by id, one after another: what is kept is what the chain keeps."""
    b, c, d = (str(tmp_path / name) for name in "bcd")
    curate("filter", *files, *RULES, "--out", b)
    curate("dedup", b, "--out", c)
    curate("decontaminate", c, "--benchmarks", str(tmp_path / "in/quiz.jsonl"), *CUT, "--out", d)
    x, y, z = (str(tmp_path / name) for name in "xyz")
    assert curate("filter", *files, *RULES, "--no-apply", "--out", x)["documents"] == 26
    assert [len(pq.read_table(p)) for p in sorted(Path(x).iterdir())] == [14, 12]
    assert not (tmp_path / "x.decisions").exists()
    dropped = curate("dedup", *files, "--decisions", x, "--no-apply", "--out", y)
    assert dropped["left_out"] == 26 - dropped["documents"] > 1
    rows = pl.concat(pl.read_parquet(p).select("keep", "reason") for p in sorted(Path(y).iterdir()))
    assert rows.filter(pl.col("reason") == "left_out").height == dropped["left_out"]
    assert len(rows) == 26
    curate("decontaminate", *files, "--decisions", x, "--decisions", y, "--benchmarks",
           str(tmp_path / "in/quiz.jsonl"), *CUT, "--out", z)
    for name in ("part-a.parquet", "part-b-1-.parquet"):
        at_once, in_turn = (pq.read_table(Path(folder, name), columns=["url", "text"]) for folder in (z, d))
        assert at_once.to_pylist() == in_turn.to_pylist()
        assert len(at_once) > 2

    # By id: the same rows in another order, in one file.
    mixed = rows_of("a", 0, 14)[::-1]
    (tmp_path / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mixed))
    curate("dedup", str(tmp_path / "mixed.jsonl"), "--exact", "--decisions", x, "--out", str(tmp_path / "m"))
    kept = {row["id"] for row in pq.read_table(tmp_path / "m/part-mixed.parquet").to_pylist()}
    keeps = {row["id"] for row in pq.read_table(Path(x, "part-a.parquet")).to_pylist() if row["keep"]}
    assert kept <= keeps
    assert len(kept) > 5


def test_edits_of_earlier_decisions_are_made_and_stay_in_later_ones(tmp_path: Path) -> None:
    """C4's lines and C4's spans: what two commands cut of one row, in bytes of the row."""
    legal = "All rights of the northern lighthouse company reserved by its keepers."
    texts = [f"Menu\n{page(i)}\n{legal}\nContact\n{page(50 + i)}" for i in range(4)]
    lines = (json.dumps({"id": f"{i}", "text": t}) + "\n" for i, t in enumerate(texts))
    (tmp_path / "in.jsonl").write_text("".join(lines))
    path, x, y = str(tmp_path / "in.jsonl"), str(tmp_path / "x"), str(tmp_path / "y")
    curate("filter", path, "--preset", "c4", "--threshold", "c4_few_sentences=null", "--no-apply", "--out", x)
    curate("dedup", path, "--decisions", x, "--paragraphs", "--no-apply", "--out", y)
    curate("filter", path, "--preset", "c4", "--threshold", "c4_few_sentences=null", "--out", str(tmp_path / "b"))
    curate("dedup", str(tmp_path / "b"), "--paragraphs", "--out", str(tmp_path / "c"))
    wanted = pq.read_table(tmp_path / "c/part-in.parquet").to_pylist()
    assert [legal in row["text"] for row in wanted] == [True, False, False, False]
    for row, decision in zip(wanted, pq.read_table(Path(y, "part-in.parquet")).to_pylist(), strict=True):
        text = texts[int(row["id"])]
        for spans in (row["edits"], decision["edits"]):
            assert "".join(text[s["start"] : s["end"]] if s["replacement"] is None else s["replacement"]
                           for s in spans) == row["text"]
        for span in decision["removed_spans"] or ():
            assert text[span["start"] : span["end"]].strip() == legal
    curate("dedup", path, "--exact", "--decisions", y, "--out", str(tmp_path / "z"))
    assert [row["text"] for row in pq.read_table(tmp_path / "z/part-in.parquet").to_pylist()] == [
        row["text"] for row in wanted]


def test_a_keep_column_is_honoured(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": page(i), "keep": keep} for i, keep in enumerate([True, False, None, True])]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    for name in ("a.jsonl", "b.parquet"):
        path, out = str(tmp_path / name), tmp_path / f"{name}.out"
        facts = curate("dedup", path, "--exact", "--out", str(out))
        assert (facts["documents"], facts["left_out"]) == (3, 1)
        assert pl.read_parquet(out)["id"].to_list() == ["0", "2", "3"]
        assert pl.read_parquet(f"{out}.decisions").select("id", "keep", "reason").rows() == [
            ("0", True, None), ("1", False, "left_out"), ("2", True, None), ("3", True, None)]
        assert curate("dedup", path, "--exact", "--ignore-keep", "--out", f"{out}2")["documents"] == 4
    done = CliRunner().invoke(app, ["dedup", str(tmp_path / "a.jsonl"), "--exact", "--out", str(tmp_path / "o")])
    assert "1 rows left out" in done.stdout


def test_what_is_wrong_with_a_file_costs_that_file(tmp_path: Path) -> None:
    good = [{"id": "a", "text": page(1)}, {"id": "b", "text": page(2)}]
    pq.write_table(pa.Table.from_pylist(good), tmp_path / "good.parquet")
    pq.write_table(pa.table([pa.array(["x"]), pa.array(["y"])], names=["text", "text"]), tmp_path / "twice.parquet")
    pq.write_table(pa.table({"text": ["x"], "keep": ["yes"]}), tmp_path / "word.parquet")
    (tmp_path / "number.jsonl").write_text('{"text": "x", "keep": 1}\n')
    wrong = {"twice.parquet": "two columns 'text'", "word.parquet": "not boolean: string",
             "number.jsonl": "not boolean: 1"}
    paths = [str(tmp_path / name) for name in ("good.parquet", *wrong)]
    for verb in (["filter"], ["dedup"], ["tokenizer", "train", "--vocab-size", "260"]):
        out = tmp_path / "-".join(verb[:2])
        done = CliRunner().invoke(app, [*verb, *paths, "--out", str(out)])
        assert done.exit_code == 1, done.output
        for name, what in wrong.items():
            assert f"curate: {tmp_path / name}: has" in done.stderr
            assert what in done.stderr
        assert out.exists()
    assert curate("filter", str(tmp_path / "word.parquet"), "--ignore-keep", "--out", str(tmp_path / "i"))

    decisions = str(tmp_path / "filter.decisions")
    again = [*good, {"id": "a", "text": page(3)}]
    for name, rows, what in (("more", [*good, {"id": "c", "text": page(3)}], "1 of its 3 rows have no decision"),
                             ("same", again, "ids that are not unique")):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        with pytest.raises(InputError, match=what):
            curate("dedup", str(tmp_path / f"{name}.jsonl"), "--decisions", decisions, "--out", str(tmp_path / "no"))
    with pytest.raises(InputError, match="holds no decisions"):
        curate("dedup", str(tmp_path / "good.parquet"), "--decisions", str(tmp_path / "filter"), "--out",
               str(tmp_path / "no"))


def test_decisions_are_no_documents(tmp_path: Path, files: list[str]) -> None:
    curate("filter", *files, "--out", str(tmp_path / "b"))
    curate("filter", *files, "--no-apply", "--out", str(tmp_path / "x"))
    for folder, meant in (("b.decisions", f"curate dedup {tmp_path}/b --out"),
                          ("x", f"curate dedup DOCUMENTS --decisions {tmp_path}/x --out")):
        with pytest.raises(RecipeError, match="holds decisions of `curate filter` and no documents") as caught:
            curate("dedup", str(tmp_path / folder), "--out", str(tmp_path / "c"))
        assert meant in str(caught.value)
        with pytest.raises(RecipeError, match="holds decisions of `curate filter` and no documents"):
            curate("pack", str(tmp_path / folder), "--out", str(tmp_path / "c"))
        assert not (tmp_path / "c.work").exists()


@pytest.mark.parametrize("verb", [["filter"], ["dedup"], ["decontaminate"], ["tokenizer", "encode"]])
def test_an_empty_part_is_a_part(tmp_path: Path, verb: list[str], files: list[str]) -> None:
    schema = pa.schema([("id", pa.string()), ("text", pa.string()), ("mood", pa.string())])
    pq.write_table(schema.empty_table(), tmp_path / "none.parquet")
    more: list[str] = []
    if verb == ["decontaminate"]:
        more = ["--benchmarks", str(tmp_path / "in/quiz.jsonl")]
    if verb == ["tokenizer", "encode"]:
        curate("tokenizer", "train", *files, "--vocab-size", "270", "--out", str(tmp_path / "t.json"))
        more = ["--tokenizer", str(tmp_path / "t.json")]
    facts = curate(*verb, str(tmp_path / "none.parquet"), files[0], *more, "--out", str(tmp_path / "o"))
    assert facts["documents"] == 14
    if verb != ["tokenizer", "encode"]:
        part = pq.read_table(tmp_path / "o/part-none.parquet")
        assert (len(part), part.column_names[:3]) == (0, ["id", "text", "mood"])
        assert len(pq.read_table(tmp_path / "o.decisions/part-none.parquet")) == 0
        assert curate(*verb, str(tmp_path / "none.parquet"), *more, "--out", str(tmp_path / "p"))["documents"] == 0


def test_a_folder_is_the_work_of_one_command(tmp_path: Path, files: list[str]) -> None:
    out = str(tmp_path / "o")
    curate("filter", files[0], "--out", out)
    before = Path(out, "part-a.parquet").read_bytes()
    curate("filter", files[0], "--out", out)  # again: the same
    assert Path(out, "part-a.parquet").read_bytes() == before
    with pytest.raises(OwnershipError, match=r"part-a\.parquet"):
        curate("filter", files[1], "--out", out)
    with pytest.raises(RecipeError, match="would take that place"):
        curate("filter", files[1], "--out", str(tmp_path / "in"))
    with pytest.raises(RecipeError, match="is a file"):
        curate("filter", files[0], "--out", files[0])
    curate("filter", files[0], "--keep-work", "--out", str(tmp_path / "k"))
    assert (tmp_path / "k.work/recipe.lock.yaml").exists()
    with pytest.raises(CurateError, match="works in"):
        run(validate({"name": "filter", "sources": {"a": {"files": files[0]}}, "classifier": None,
                      "mixture": {"weights": {"a": 1}}}), str(tmp_path / "k.work"), Settings("inline"))


def test_names_stay_short(tmp_path: Path, files: list[str]) -> None:
    folder = files[0]
    for step in "xyz":
        curate("filter", folder, "--out", str(tmp_path / step), "--preset", "gpt3")
        folder = str(tmp_path / step)
    assert [p.name for p in (tmp_path / "z").iterdir()] == ["part-a.parquet"]
