"""Verbs run the graph: what a command says of its files is what a recipe over the same table says."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curate.dedup.stages import last_decisions
from manifests.errors import InputError, RecipeError
from manifests.graph import View
from manifests.hashing import document_id
from manifests.part_paths import part_path
from pipelines.cli.main import app
from pipelines.loading import validate
from pipelines.running import Result, Settings, run
from pipelines.verbs import SOURCE, files_source, verb_run

WORDS = ("the", "harbour", "was", "quiet", "and", "nobody", "spoke", "of", "it", "when", "at", "last", "a", "ship",
         "came", "in", "from", "sea", "with", "salt", "to", "sell")


def texts(n: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["\n".join(" ".join(draw.choices(WORDS, k=draw.randrange(3, 30))) + "." for _ in range(draw.randrange(1, 9)))
            for _ in range(n)]


def write_inputs(folder: Path) -> list[str]:
    """A JSONL file without ids, and a Parquet file whose documents have ids of 16 bytes and a column of their own."""
    folder.mkdir()
    lines = [json.dumps({"text": text, "url": f"http://x{i}.org/{i}"}) for i, text in enumerate(texts(30, 1))]
    (folder / "b.jsonl").write_text("\n".join(lines))
    ids = [bytes([i]) * 16 for i in range(20)]
    table = pa.table({"doc_id": pa.array(ids, pa.binary(16)), "text": texts(20, 2), "mood": ["good"] * 20})
    pq.write_table(table, folder / "a.parquet")
    return [str(folder / "b.jsonl"), str(folder / "a.parquet")]


def recipe_run(out: Path, paths: list[str], only: tuple[str, ...], **fields: object) -> Result:
    recipe = validate({"name": "same", "sources": {SOURCE: files_source(paths)}, "classifier": None,
                       "mixture": {"weights": {SOURCE: 1}}, "dedup": {"exact": False, "near": False}, **fields})
    return run(recipe, str(out), Settings("inline", only=only))


def test_filter_decides_as_a_recipe_does(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path / "in")
    done = CliRunner().invoke(app, ["filter", *paths, "--preset", "fineweb", "--threshold", "gopher_too_few_words=40",
                                    "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    rules = {"preset": "fineweb", "thresholds": {"gopher_too_few_words": 40}}
    result = recipe_run(tmp_path / "run", paths, ("extract", "select"), select={"rules": rules},
                        extract={"identify_language": False})
    kept = 0
    for name, source in zip(("b", "a"), result.view.sources[0].files, strict=True):
        part = pq.read_table(tmp_path / f"out.decisions/part-{name}.parquet")
        stored = result.view.output("select", f"{SOURCE}/{source.part}", "decisions")
        decided = pq.read_table(tmp_path / "run" / stored.paths[0])
        assert part["keep"].to_pylist() == decided["keep"].to_pylist()
        assert part["reason"].to_pylist() == decided["reason"].to_pylist()
        kept += sum(part["keep"].to_pylist())
    assert 0 < kept < 50
    assert not (tmp_path / "out.work").exists()


def test_train_encode_and_pack_are_the_stages_of_a_recipe(tmp_path: Path) -> None:
    """One command after another makes the tokenizer, the tokens and the shards that one recipe makes."""
    paths = write_inputs(tmp_path / "in")
    tokenizer, tokens, out = str(tmp_path / "t.json"), str(tmp_path / "tokens"), str(tmp_path / "set")
    for words in (["tokenizer", "train", *paths, "--vocab-size", "300", "--out", tokenizer],
                  ["tokenizer", "encode", *paths, "--tokenizer", tokenizer, "--out", tokens],
                  ["pack", f"pages={tokens}", "--row-length", "16", "--shard-tokens", "256", "--buckets", "2",
                   "--mixture", "{weights: {pages: 1}, validation_fraction: 0.1}", "--out", out]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (done.output, done.exception)
    run_ = tmp_path / "run"
    only = ("extract", "tokenizer", "tokenizer/sample", "tokenizer/cutoffs", "tokenizer/counts", "tokenizer/words",
            "tokens", "mix", "pack", "packed", "packed/dataset")
    result = recipe_run(run_, paths, only, extract={"identify_language": False, "signals": False},
                        tokenizer={"vocab_size": 300},
                        pack={"row_length": 16, "shard_tokens": 256, "buckets": 2},
                        mixture={"weights": {SOURCE: 1}, "validation_fraction": 0.1})
    assert Path(tokenizer).read_bytes() == (run_ / "tokenizer/tokenizer.json").read_bytes()
    for name, source in zip(("b", "a"), result.view.sources[0].files, strict=True):
        ids = (run_ / part_path(f"tokens/{SOURCE}/{source.part}.tokens")).read_bytes()
        assert Path(tokens, f"tokens/part-{name}.tokens").read_bytes() == ids
    shards = {str(p.relative_to(run_ / "packed")): p.read_bytes() for split in ("train", "val")
              for p in (run_ / "packed" / split).glob("*.*")}
    assert {name: Path(out, "packed", name).read_bytes() for name in shards} == shards
    assert len(shards) >= 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "run", "set", "t.json", "tokens"]


def test_a_classifier_scores_as_in_a_recipe(tmp_path: Path) -> None:
    good, bad = write_inputs(tmp_path / "in")
    model = ["classifier", "train", "--positives", good, "--negatives", bad, "--folds", "2", "--out",
             str(tmp_path / "m"), "--set", "buckets=2000", "--set", "min_count=1", "--set", "near_duplicates=null"]
    for words in (model, ["classifier", "score", bad, "--model", str(tmp_path / "m/model.bin"), "--out",
                          str(tmp_path / "scores")]):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, (done.output, done.exception)
    sources = {"negatives": files_source([bad]), "positives": files_source([good], curated=True)}
    result = recipe_run(tmp_path / "run", [], ("extract", "classifier", *(f"classifier/{name}" for name in (
        "labels", "samples", "examples"))), sources=sources, mixture={"weights": {"negatives": 1}}, labels={"folds": 2},
        classifier={"buckets": 2000, "min_count": 1, "near_duplicates": None},
        extract={"identify_language": False, "signals": False})
    trained = result.view.output("classifier", "model", "model").paths[0]
    assert (tmp_path / "m/model.bin").read_bytes() == (tmp_path / "run" / trained).read_bytes()
    scores = recipe_run(tmp_path / "again", [bad], ("extract", "classifier/scores"), classifiers={"mine": {
        "path": str(tmp_path / "m/model.bin"), "label": "positive",
        "max_bytes": json.loads((tmp_path / "m/model.json").read_text())["max_bytes_per_document"]}})
    stored = scores.view.outputs("classifier/scores", "scores")[0].path
    assert pq.read_table(tmp_path / "scores/part-a.parquet")["quality_score"].to_pylist() == \
        pq.read_table(tmp_path / "again" / stored)["quality_mine"].to_pylist()


def test_a_table_is_read_as_it_is(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path / "in")
    result = recipe_run(tmp_path / "run", paths, ("extract",), extract={"signals": False, "min_text_bytes": 10_000})
    lines, rows = (pq.read_table(tmp_path / "run" / part_path(f"extract/{SOURCE}/{f.part}.parquet"))
                   for f in result.view.sources[0].files)
    assert lines["text"].to_pylist() == texts(30, 1)
    assert lines["doc_id"].to_pylist() == [document_id(SOURCE, "b.jsonl", i) for i in range(30)]
    assert rows["doc_id"].to_pylist() == [bytes([i]) * 16 for i in range(20)]
    assert rows["origin_offset"].to_pylist() == list(range(20))
    assert lines["language"].null_count == 30


def test_files_of_one_name_are_known_by_their_folders_and_keep_their_order(tmp_path: Path) -> None:
    paths = []
    for folder in ("z", "a"):
        (tmp_path / folder).mkdir()
        paths.append(str(tmp_path / folder / "t.jsonl"))
        Path(paths[-1]).write_text(json.dumps({"text": folder}))
    result = recipe_run(tmp_path / "run", paths, ("extract",))
    assert [f.relative for f in result.view.sources[0].files] == ["z/t.jsonl", "a/t.jsonl"]


def test_a_killed_verb_goes_on_and_a_failed_one_keeps_its_work(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path / "in")
    out = str(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt), verb_run("filter", out, paths, {}, ["extract"]):
        raise KeyboardInterrupt
    assert Path(f"{out}.work/recipe.lock.yaml").exists()
    with verb_run("filter", out, paths, {}, ["extract"]) as done:
        again = [r.finished_at for r in done.view.tasks("extract")]
        assert len(again) == 2
    assert not Path(f"{out}.work").exists()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path / "in")
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 and no more")
    with verb_run("filter", str(tmp_path / "out"), [*paths, str(bad)], {}, ["extract", "select"]) as done:
        assert [str(bad) in str(error) for error in done.failures] == [True]
        assert [file.task is None for file in done.files] == [False, False, True]
        assert len(list(done.outputs("select", "decisions"))) == 2
    with pytest.raises(InputError, match=r"bad\.parquet"), \
            verb_run("filter", str(tmp_path / "out"), [str(bad)], {}, ["extract", "select"]):
        pass
    with pytest.raises(RecipeError, match="local folder"), verb_run("filter", "s3://b/out", paths, {}, ["extract"]):
        pass


def write_copies(folder: Path) -> list[str]:
    """Files in which texts come back, in another order than that of their names, with dates and scores."""
    folder.mkdir()
    draw = random.Random(4)
    base, n = texts(12, 3), 0
    for name in ("z", "m", "a"):
        rows = []
        for text in draw.choices(base, k=15):
            rows.append({"id": f"{name}{n}", "text": text + draw.choice(["", " And one more."]), "quality_score": n % 3,
                         "date": f"2024-01-{1 + n % 9:02d}", "url": f"http://x.org/{n % 30}"})
            n += 1
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [str(folder / f"{name}.jsonl") for name in ("z", "m", "a")]


@pytest.mark.parametrize(("options", "dedup"), [
    ([], {}), (["--exact", "--survivor-order", "length"], {"near": False, "survivor_order": ["length", "position"]}),
    (["--minhash", "--survivor-order", "quality,date"], {"exact": False, "survivor_order": [
        "quality", "date", "position"]}),
    (["--urls", "latest", "--paragraphs", "--substrings"], {
        "exact": False, "near": False, "urls": "latest", "paragraphs": {}, "substrings": {}})])
def test_dedup_decides_as_a_recipe_does(tmp_path: Path, options: list[str], dedup: dict[str, object]) -> None:
    paths = write_copies(tmp_path / "in")
    done = CliRunner().invoke(app, ["dedup", *paths, *options, "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    source = {**files_source(paths), "date_column": "date", "quality_column": "quality_score"}
    recipe = validate({
        "name": "same", "sources": {SOURCE: source}, "classifier": None, "mixture": {"weights": {SOURCE: 1}},
        "extract": {"identify_language": False, "signals": False},
        "dedup": {"survivor_order": ["position"], "max_removed_fraction": 1.0, **dedup}})
    view = run(recipe, str(tmp_path / "run"), Settings("inline", only=("extract", "select", "dedup"))).view
    own: dict[bytes, str] = {}
    for file in view.sources[0].files:
        table = pq.read_table(tmp_path / "run/extract" / part_path(f"{SOURCE}/{file.part}.parquet"))
        own |= dict(zip(*(table[name].to_pylist() for name in ("doc_id", "record_id")), strict=True))
    gone = 0
    for path, file in zip(paths, view.sources[0].files, strict=True):
        part = pq.read_table(tmp_path / "out.decisions" / f"part-{Path(path).stem}.parquet").to_pylist()
        rows = read_decisions(tmp_path / "run", view, "dedup/decisions", f"{SOURCE}/{file.part}")
        last = read_decisions(tmp_path / "run", view, last_decisions(view), f"{SOURCE}/{file.part}")
        assert [r["keep"] for r in part] == [r["keep"] for r in last]
        assert [r["duplicate_of"] for r in part] == [own.get(r["duplicate_of"]) for r in rows]
        assert [r["similarity"] for r in part] == [r["similarity"] for r in rows]
        gone += sum(not r["keep"] for r in part)
        if "removed_spans" in part[0]:
            removed = sum(s["end"] - s["start"] for r in part for s in r["removed_spans"] or ())
            assert removed > 0
    assert gone > 3
    if not options:
        clusters = [r["cluster_id"] for file in view.sources[0].files
                    for r in read_decisions(tmp_path / "run", view, "dedup/decisions", f"{SOURCE}/{file.part}")]
        assert any(clusters)


def read_decisions(root: Path, view: View, stage: str, task: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(root / view.output(stage, task, "decisions").paths[0]).to_pylist()
    return rows


def test_decontaminate_decides_as_a_recipe_does(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path / "in")
    questions = [" ".join(text.split()[:30]) for text in texts(30, 1)[::3]]
    (tmp_path / "quiz.jsonl").write_text("".join(json.dumps({"q": q}) + "\n" for q in questions))
    done = CliRunner().invoke(app, ["decontaminate", *paths, "--benchmarks", str(tmp_path / "quiz.jsonl"), "--fields",
                                    "q", "--window", "10", "--min-piece", "5", "--out", str(tmp_path / "out")],
                              catch_exceptions=False)
    assert done.exit_code == 0, done.output
    benchmark = {"name": "quiz", "path": str(tmp_path / "quiz.jsonl"), "fields": ["q"]}
    result = recipe_run(tmp_path / "run", paths, ("extract", "select", "decontaminate/"),
                        extract={"identify_language": False, "signals": False}, dedup={"exact": False, "near": False},
                        decontaminate={"benchmarks": [benchmark], "window": 10, "min_piece": 5})
    spans = 0
    for name, file in zip(("b", "a"), result.view.sources[0].files, strict=True):
        part = pq.read_table(tmp_path / f"out.decisions/part-{name}.parquet").to_pylist()
        rows = read_decisions(tmp_path / "run", result.view, "decontaminate", f"{SOURCE}/{file.part}")
        for column in ("keep", "reason", "removed_spans", "pieces"):
            assert [r[column] for r in part] == [r[column] for r in rows]
        spans += sum(len(r["removed_spans"]) for r in part)
    assert spans > 3
    report = pq.read_table(tmp_path / "out.report/benchmarks.parquet")
    assert report.equals(pq.read_table(tmp_path / "run/decontaminate/report/benchmarks.parquet"))
    assert not (tmp_path / "out.work").exists()
