"""What a person gets who points the pipeline at something wrong: exit code, name and way out."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from manifests.tables import read_table
from pipelines.cli.main import main

TEXT = ("The library keeps a record of every book that was lent, and of the people who have taken it home with them. "
        "It is open to all who live in the town, and to those who work there but live in another place. ")


def _texts(path: Path, n: int, first: int = 0) -> Path:
    lines = [json.dumps({"id": str(i), "text": f"Number {i}. {TEXT * 4} This was note {i * 7919} of the year."})
             for i in range(first, first + n)]
    path.write_text("\n".join(lines) + ("\n" if lines else ""))
    return path


def _recipe(tmp_path: Path, **changes: object) -> str:
    fields = {
        "name": "tiny", "sources": {"notes": {"files": str(tmp_path / "notes*.jsonl"), "curated": True}},
        "classifier": None, "select": {"filtered_sources": []}, "dedup": {"partitions": 1, "max_removed_fraction": 1},
        "tokenizer": {"vocab_size": 300}, "mixture": {"weights": {"notes": 1}, "validation_fraction": 0},
        "pack": {"row_length": 16, "shard_tokens": 1024}, **changes}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(fields))
    return str(path)


@dataclass(frozen=True)
class _Done:
    """What a command left: its exit code and what it printed."""

    returncode: int
    stdout: str
    stderr: str


def _curate(*words: str) -> _Done:
    """Run the command in this process: starting Python for each would take longer than all the work."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    code: object = 0
    try:
        sys.argv = ["curate", *words]
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as exit_:
        code = exit_.code
    finally:
        sys.argv = before
    return _Done(int(str(code or 0)), out.getvalue(), err.getvalue())


def _run(recipe: str, out: Path, *more: str) -> _Done:
    return _curate("run", recipe, "--out", str(out), "--engine", "inline", *more)


def test_a_good_small_run_is_exit_0(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    done = _run(_recipe(tmp_path), tmp_path / "run", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dataset"]["splits"]["train"]["n_rows"] > 0


def test_an_unknown_key_is_exit_2_before_any_work(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    done = _run(_recipe(tmp_path, dedupp={}), tmp_path / "run")
    assert done.returncode == 2
    assert "did you mean 'dedup'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_file_is_exit_2_before_any_work(tmp_path: Path) -> None:
    done = _run(_recipe(tmp_path), tmp_path / "run")
    assert done.returncode == 2
    assert "sources.notes.files: no file matches" in done.stderr
    assert not (tmp_path / "run").exists()


def test_usage_errors_are_exit_2(tmp_path: Path) -> None:
    done = _curate("run")
    assert done.returncode == 2
    assert "Missing argument" in done.stderr


def test_an_unknown_stage_is_exit_2(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    done = _run(_recipe(tmp_path), tmp_path / "run", "--until", "polish")
    assert done.returncode == 2
    assert "no stage is called 'polish'" in done.stderr


def test_an_empty_source_is_named(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    (tmp_path / "void.jsonl").write_text('{"id": "1", "text": ""}\n')
    sources = {"notes": {"files": str(tmp_path / "notes.jsonl"), "curated": True},
               "void": {"files": str(tmp_path / "void.jsonl"), "curated": True}}
    done = _run(_recipe(tmp_path, sources=sources), tmp_path / "run")
    assert done.returncode == 1
    assert "source 'void': has no document" in done.stderr


def test_a_source_that_keeps_nothing_is_named(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    rules = {"thresholds": {"gopher_too_few_words": 10_000}}
    done = _run(_recipe(tmp_path, select={"filtered_sources": [], "rules": rules}), tmp_path / "run")
    assert done.returncode == 1
    assert "source 'notes'" in done.stderr
    assert "kept none of its 8 documents" in done.stderr


def test_a_classifier_without_negatives_says_so(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    done = _run(_recipe(tmp_path, classifier={}), tmp_path / "run")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "classifier" in done.stderr


def test_an_unreadable_file_is_set_aside_and_named(tmp_path: Path) -> None:
    _texts(tmp_path / "notes-1.jsonl", 8)
    (tmp_path / "notes-2.jsonl").write_bytes(b"\x00\x01\x02 not json\n" * 50)
    out = tmp_path / "run"
    done = _run(_recipe(tmp_path), out)
    assert done.returncode == 1
    assert "notes-2" in done.stderr + done.stdout
    assert len(list((out / "clean/notes").glob("*/*.parquet"))) == 1
    assert list((out / "packed/train").glob("*.bin"))
    _texts(tmp_path / "notes-2.jsonl", 8, first=100)  # mended: the same command takes it up
    assert _run(_recipe(tmp_path), out).returncode == 0
    assert len(list((out / "clean/notes").glob("*/*.parquet"))) == 2


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/letter.txt").write_text("dear")
    for more in ((), ("--fresh",)):
        done = _run(_recipe(tmp_path), tmp_path / "home", *more)
        assert done.returncode == 3
        assert "it is not a run" in done.stderr
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["letter.txt"]


def test_another_recipes_run_is_refused_and_fresh_replaces_it(tmp_path: Path) -> None:
    _texts(tmp_path / "notes.jsonl", 8)
    out = tmp_path / "run"
    assert _run(_recipe(tmp_path), out).returncode == 0
    other = _recipe(tmp_path, name="other")
    done = _run(other, out)
    assert done.returncode == 3
    assert "belongs to a run of recipe 'tiny'" in done.stderr
    assert _run(other, out, "--fresh").returncode == 0
    assert "name: other" in (out / "recipe.lock.yaml").read_text()


@pytest.mark.parametrize("words", [("status",), ("verify",), ("why", "http://x/"), ("trace", "train/000000", "0")])
def test_verbs_on_no_run_are_exit_1(words: tuple[str, ...], tmp_path: Path) -> None:
    done = _curate(words[0], str(tmp_path), *words[1:])
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("curate: ")


def test_a_truncated_archive_loses_its_last_record(small_web: Path, tmp_path: Path) -> None:
    part = tmp_path / "cut.warc.gz"
    whole = (small_web / "crawl/part-00001.warc.gz").read_bytes()
    part.write_bytes(whole[: len(whole) * 2 // 3])
    sources = {"cut": {"files": str(part)}}
    recipe = _recipe(tmp_path, sources=sources, mixture={"weights": {"cut": 1}})
    done = _run(recipe, tmp_path / "run", "--until", "extract", "--format", "json")
    assert done.returncode == 0, done.stderr
    (damage, *_) = json.loads(done.stdout)["damage"][-1:]
    assert damage["where"].startswith("cut.warc.gz@")
    documents = next((tmp_path / "run/extract/cut").glob("*/part-*.parquet"))
    assert len(read_table(str(documents), ["doc_id"])) > 5


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    texts = _texts(tmp_path / "notes.jsonl", 2)
    done = _curate("tokenizer", "train", str(texts), "--vocab-size", "300", "--out", str(texts / "in/a/file.json"))
    assert done.returncode == 1
    assert "notes.jsonl" in done.stderr.splitlines()[-1]
    assert "Not a directory" in done.stderr.splitlines()[-1]


def test_help_is_quick_and_light() -> None:
    heavy = "{'ray', 'polars', 'pyarrow', 'numba', 'pydantic'}"
    code = f"import sys, pipelines.cli.main; print(len({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    assert shutil.which(str(Path(sys.executable).parent / "curate"))
