"""The whole pipeline on the demo web, whose truth is known, in one process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import datasets
import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest

from curate.why import explain
from manifests import PackedDataset
from manifests.schema import CLEAN_EXTRA, DOCUMENTS, PACKED_MANIFEST, SOURCES
from manifests.tables import open_table, read_table
from manifests.trace import trace
from manifests.verify import verify
from pipelines import Run
from pipelines.demo.check import check
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, dry_run, run
from pipelines.status import print_status
from tests.integration.conftest import tree
from tokenizer.encoding.encode import load

Demo = tuple[Path, Result]
MakeRecipe = Callable[..., Recipe]


def test_what_was_planted_is_found(demo: Demo, web: Path) -> None:
    report = check(demo[0], web)
    assert [f"{g.name}: {g.measured}" for g in report.goals if not g.met] == []


def test_every_file_is_what_its_record_says(demo: Demo) -> None:
    findings = list(verify(str(demo[0])))
    assert len(findings) > 300
    assert [f for f in findings if f.problem] == []


def test_verify_finds_one_flipped_bit(small_demo: Demo, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    path = out / "packed/train/000000.bin"
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    bad = [f for f in verify(str(out)) if f.problem]
    assert {f.path for f in bad} >= {"packed/train/000000.bin"}
    assert any(f.check == "payload digest" for f in bad)


def test_tables_have_the_schemas_that_the_contract_names(demo: Demo) -> None:
    out = demo[0]
    assert read_table(str(out / "packed/manifest.parquet")).schema.equals(PACKED_MANIFEST)
    assert read_table(str(out / "packed/sources.parquet")).schema.equals(SOURCES)
    for path in (out / "clean").rglob("part-*.parquet"):
        names = open_table(str(path)).schema_arrow.names
        assert names[: len(DOCUMENTS)] == DOCUMENTS.names
        assert {f.name for f in CLEAN_EXTRA} <= set(names)


def test_outputs_name_neither_the_run_nor_the_machine(demo: Demo) -> None:
    out = demo[0]
    secrets = [str(out).encode(), out.parent.name.encode()]
    if len(socket.gethostname()) > 6:  # a shorter name would be found by chance
        secrets.append(socket.gethostname().encode())
    for name in tree(out):
        data = (out / name).read_bytes()
        assert not [s for s in secrets if s in data], name


def test_nothing_is_left_behind(demo: Demo) -> None:
    assert not (demo[0] / ".tmp").exists()


def test_every_token_of_a_row_leads_to_its_page(demo: Demo, web: Path) -> None:
    out = demo[0]
    tokenizer = load(str(out / "tokenizer/tokenizer.json"))
    for row in range(0, 400, 40):
        origins = trace(str(out), "train/000000", row)
        assert sum(o.n_tokens for o in origins) == 512 - (row == 0)
        for origin in origins:
            decoded = tokenizer.decode(origin.tokens[origin.tokens != tokenizer.eot_id])
            assert decoded.strip("�") in origin.document["text"]
            if origin.document["source"] != "reference":
                assert _page(web, origin.document) == origin.document["url"]


def _page(web: Path, document: dict[str, object]) -> str | None:
    """The URL of the record at a document's offset in its archive, by FastWARC."""
    from fastwarc.warc import ArchiveIterator

    with open(web / f"crawl/{document['origin_path']}", "rb") as stream:
        stream.seek(int(str(document["origin_offset"])))
        return str(next(iter(ArchiveIterator(stream, parse_http=False))).headers["WARC-Target-URI"])


def test_all_tokens_are_accounted_for(demo: Demo) -> None:
    out, result = demo
    counters = result.view.counters("packed/dataset")
    manifest = read_table(str(out / "packed/manifest.parquet"))
    for split in ("train", "val"):
        rows = manifest.filter(pc.equal(manifest["split"], split))
        packed = pc.sum(rows["n_tokens"]).as_py() - len(rows)  # one end-of-text at each shard's start
        assert counters[f"{split}_selected_tokens"] == packed + pc.sum(rows["dropped_tokens"]).as_py()
    sources = read_table(str(out / "packed/sources.parquet")).to_pylist()
    assert sum(s["selected_tokens"] for s in sources) == counters["train_selected_tokens"]
    for source in sources:
        assert source["epochs"] <= 4
        assert abs(source["realised_share"] - source["requested_weight"]) < 0.005


def test_documents_are_counted_from_stage_to_stage(demo: Demo) -> None:
    p = demo[1].view
    extract, select, dedup = (p.counters(s) for s in ("extract", "select", "dedup/decisions"))
    assert extract["candidates"] == extract["documents"] + sum(
        v for k, v in extract.items() if k.startswith("dropped_"))
    assert select["documents"] == extract["documents"]
    assert select["kept"] == select["documents"] - sum(v for k, v in select.items() if k.startswith("dropped_"))
    assert dedup["kept"] == select["kept"] - dedup["dropped_exact_duplicate"] - dedup["dropped_near_duplicate"]


def test_a_trainer_reads_all_rows_once_an_epoch(demo: Demo) -> None:
    from manifests import PackedLoader

    dataset = PackedDataset(demo[0], "train")
    assert len(dataset) >= 500
    loader = PackedLoader(dataset, batch_rows=1, seed=3)
    rows = np.concatenate([next(loader).rows for _ in range(len(dataset))])
    assert sorted(rows.tolist()) == list(range(len(dataset)))


def test_a_second_call_makes_nothing(demo: Demo, web: Path, recipe_of: MakeRecipe) -> None:
    before = tree(demo[0])
    result = run(recipe_of(web), str(demo[0]), Settings(engine="inline"))
    assert result.n_done == 0
    assert tree(demo[0]) == before


def test_status_shows_the_stages_that_the_recipe_uses(small_demo: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [Run(str(small_demo[0])).describe()]
    by_name = {row["stage"]: row for row in rows[0]["stages"]}
    assert all(row["done"] for row in by_name.values())
    assert by_name["dedup/substrings"]["tasks"] == 0
    print_status(rows, every=True)
    *lines, last = capsys.readouterr().out.splitlines()[2:]
    assert last.startswith("Finished: all ")
    shown = {line.split()[0] for line in lines}
    assert shown == {name for name, row in by_name.items() if row["tasks"]}


def test_every_page_has_a_history(small_demo: Demo, small_web: Path) -> None:
    truth = read_table(str(small_web / "truth.parquet"), ["url", "kind"]).to_pylist()
    seen: dict[str, str] = {}
    for page in truth:
        seen.setdefault(page["kind"], page["url"])
    for kind, url in seen.items():
        if kind == "truncated":
            continue  # its record could not be read, so nothing knows its URL
        (history,) = explain(str(small_demo[0]), url)
        last = [d for d in history.decisions if d.verdict != "not seen"][-1]  # later stages skip what is dropped
        if kind == "foreign":
            assert (last.stage, last.verdict) == ("extract", "dropped")
            assert last.facts["reason"].startswith("language")
        assert last.verdict in ("dropped", "packed", "encoded")
        assert explain(str(small_demo[0]), history.doc_id)[0].url == url


def test_a_changed_threshold_costs_what_depends_on_it(small_demo: Demo, small_web: Path, recipe_of: MakeRecipe,
                                                     tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    changed = recipe_of(small_web, "dedup.threshold=0.7")
    plans = {stage.name: plan for stage, plan in dry_run(changed, str(out))}
    assert plans["select"] is not None
    assert plans["select"].stale == []
    signatures = plans["dedup/signatures"]
    assert signatures is not None
    assert {reason for _, reason in signatures.stale} == {"threshold: 0.8 -> 0.7"}
    assert plans["clean"] is None  # it will be known when deduplication is done
    result = run(changed, str(out), Settings(engine="inline"))
    made = {s for s in result.view.done_stages() for r in result.view.tasks(s) if r.identity.config.get("threshold")}
    assert made
    assert result.n_done < sum(len(result.view.tasks(s)) for s in result.view.done_stages())
    fresh = tmp_path / "fresh"
    run(changed, str(fresh), Settings(engine="inline"))
    assert tree(out) == tree(fresh)


def test_a_file_added_to_a_source_costs_that_file(small_web: Path, recipe_of: MakeRecipe, tmp_path: Path) -> None:
    seven = recipe_of(small_web, f"sources.crawl.files={small_web}/crawl/part-0000[0-6].warc.gz")
    out = tmp_path / "run"
    run(seven, str(out), Settings(engine="inline", until="extract"))
    plans = {stage.name: plan for stage, plan in dry_run(recipe_of(small_web), str(out), until="extract")}
    assert plans["extract"] is not None
    assert [task.name.split("-")[2] for task, _ in plans["extract"].stale] == ["00007"]
    run(recipe_of(small_web), str(out), Settings(engine="inline", until="extract"))
    result = run(seven, str(out), Settings(engine="inline"))  # and taking it away leaves nothing of it
    assert result.exit_code == 0
    assert not [n for n in tree(out) if "part-part-00007" in n]


def test_two_runs_in_one_folder_exclude_each_other(small_demo: Demo, small_web: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import fcntl,time; f=open({str(out / '_records/run.lock')!r},'w'); "
         "fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        done = _curate("run", "demo", "--set", f"web={small_web}", "--out", str(out), "--engine", "inline")
        assert done.returncode == 3
        assert "another run is at work here" in done.stderr
    finally:
        holder.kill()
        holder.wait()
    assert _curate("run", "demo", "--set", f"web={small_web}", "--out", str(out), "--engine", "inline").returncode == 0


def test_the_clean_corpus_opens_in_duckdb_and_datasets(demo: Demo) -> None:
    pattern = f"{demo[0]}/clean/**/part-*.parquet"
    query = f"select count(*), sum(n_bytes) from read_parquet('{pattern}')"
    ((n, size),) = duckdb.connect().execute(query).fetchall()
    counters = demo[1].view.counters("clean")
    assert (n, size) == (counters["documents"], counters["bytes"])
    loaded = datasets.load_dataset("parquet", data_files=pattern, split="train",
                                   cache_dir=os.path.join(demo[0].parent, "hf"))
    assert len(loaded) == n


def test_reading_needs_four_libraries() -> None:
    code = ("import sys, manifests; manifests.PackedDataset, manifests.PackedLoader; "
            "print(sorted({m.split('.')[0] for m in sys.modules} & "
            "{'ray', 'polars', 'torch', 'pydantic', 'numba', 'tokenizers', 'fasttext', 'typer'}))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _curate(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "curate", *words], capture_output=True, text=True, check=False)
