"""Plug-ins in runs: what installed distributions add, what their change makes stale, and what is said of bad ones."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

import curate
from manifests.errors import RecipeError, StageError
from manifests.run_records import every_record
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines.cli.main import app
from pipelines.loading import validate
from pipelines.running import Result, Settings, dry_run, run
from tests.integration.conftest import tree
from tests.paths import ROOT
from tests.plugin_distribution import ENTRY_POINTS, SAMPLE, forget, on_path, write_distribution

TEXTS = ("A quiet harbour with boats, and the word secret in it.", "short", "Zwölf Boxkämpfer: secret secret.",
         "aeiou aeiou aeiou aeiou aeiou aeiou aeiou")
INLINE = Settings("inline", until="clean", guards=False)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder of installed distributions with the sample plug-ins, and input files beside it."""
    folder = tmp_path / "site"
    write_distribution(folder, "sample-plugins", SAMPLE, ENTRY_POINTS)
    rows = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": "Another file with a secret."}) + "\n")
    (tmp_path / "w.txt").write_text("alpha beta broken gamma")
    with on_path(folder):
        yield folder


def fields(site: Path, **more: Any) -> dict[str, Any]:
    return {"name": "toy", "sources": {"texts": {"files": [f"{site.parent}/?.jsonl"]}}, "classifier": None,
            "mixture": {"weights": {"texts": 1}}, "extract": {"identify_language": False, "signals": True},
            "dedup": {"exact": False, "near": False}, **more}


def done(site: Path, settings: Settings = INLINE, out: str = "run", **more: Any) -> Result:
    return run(validate(fields(site, **more)), str(site.parent / out), settings)


def stale(site: Path, **more: Any) -> dict[str, list[str]]:
    """What a run would do again, by stage, with the reasons."""
    plans = dry_run(validate(fields(site, **more)), str(site.parent / "run"), until="clean")
    return {stage.name: sorted(why for _, why in plan.stale) for stage, plan in plans if plan and plan.stale}


def kept(site: Path, out: str = "run") -> list[str]:
    """Texts of the clean corpus, by part."""
    parts = sorted((site.parent / out / "clean").glob("*/*/part-*.parquet"))
    return [text for part in parts for text in read_table(str(part))["text"].to_pylist()]


LONG: dict[str, Any] = {"select": {"rules": [{"reason": "long_enough", "signal": "lengths", "at_least": 10}]}}


def test_a_signal_judges_documents(site: Path) -> None:
    result = done(site, signals={"lengths": {}}, **LONG)
    assert "short" not in kept(site)
    assert len(kept(site)) == len(TEXTS)
    (decisions,) = (read_table(f"{site.parent}/run/{o.path}") for o in result.view.outputs("select", "decisions")
                    if "/part-a-" in o.path)
    (row,) = (row for row in decisions.to_pylist() if not row["keep"])
    assert (row["reason"], row["value"], row["threshold"]) == ("long_enough", 5.0, 10.0)


def test_a_signal_has_another_name_and_parameters_that_are_files(site: Path) -> None:
    (site.parent / "offset.txt").write_text("3")
    use = {"plugin": "lengths", "parameters": {"factor": 2, "offset": str(site.parent / "offset.txt")}}
    rules = {"rules": {"preset": "gpt3", "rules": [{"reason": "long", "signal": "double", "at_least": 14}]}}
    result = done(site, signals={"double": use}, select=rules)
    (table,) = (read_table(f"{site.parent}/run/{o.path}") for o in result.view.outputs("signals", "signal")
                if "/part-a-" in o.path)
    assert table["signal_double"].to_pylist() == [2 * len(text) + 3 for text in TEXTS]
    records = [r for r in every_record(Storage(f"{site.parent}/run")) if r.identity.stage == "signals"]
    assert len(records) == 2
    assert not any(b"offset.txt" in record.to_json() for record in records)


def test_adding_a_signal_extracts_nothing_again(site: Path) -> None:
    done(site)
    assert stale(site, signals={"lengths": {}}) == {"signals": ["never done", "never done"]}
    reasons = stale(site, signals={"lengths": {}}, **LONG)
    assert set(reasons) == {"signals"}


def test_a_changed_plugin_makes_stale_what_it_touches(site: Path) -> None:
    other = write_distribution(site, "other-plugins", SAMPLE, {"signals": {"other": "Lengths"}})
    signals = {"lengths": {}, "other": {"parameters": {"factor": 0.5}}}
    done(site, signals=signals, **LONG)
    assert stale(site, signals=signals, **LONG) == {}
    other.write_text(SAMPLE + "\n# another line\n")
    forget(site)
    reasons = stale(site, signals=signals, **LONG)
    assert set(reasons) == {"signals"}
    assert len(reasons["signals"]) == 2
    assert all(why.startswith("task.plugin.files: ") for why in reasons["signals"])
    result = done(site, signals=signals, **LONG)
    assert result.n_done == 2  # the same values: nothing after it is done again
    shutil.rmtree(site / "sample_plugins-1.0.dist-info")
    write_distribution(site, "sample-plugins", SAMPLE, ENTRY_POINTS, version="1.1")
    forget(site)
    reasons = stale(site, signals=signals, **LONG)
    assert reasons == {"signals": ["task.plugin.version: '1.0' -> '1.1'"] * 2}


def test_a_changed_file_of_a_parameter(site: Path) -> None:
    file = site.parent / "offset.txt"
    file.write_text("3")
    signals = {"lengths": {"parameters": {"offset": str(file)}}}
    done(site, signals=signals)
    moved = site.parent / "elsewhere.txt"
    shutil.copy(file, moved)
    assert stale(site, signals={"lengths": {"parameters": {"offset": str(moved)}}}) == {}
    file.write_text("4")
    assert stale(site, signals=signals) == {"signals": ["input signals.lengths.parameters.offset changed"] * 2}


def test_edits_remove_and_replace(site: Path) -> None:
    edits = [{"plugin": "redact", "parameters": {"word": "secret", "replacement": "***"}},
             {"plugin": "redact", "parameters": {"word": "ö"}}]
    result = done(site, select={"edits": edits})
    assert [t for t in kept(site) if "***" in t or "Zw" in t] == [
        "A quiet harbour with boats, and the word *** in it.", "Zwlf Boxkämpfer: *** ***.",
        "Another file with a ***."]
    assert result.view.counters("select")["edited_redact"] == 4
    assert result.view.counters("select")["edited"] == 3
    changed = [edits[0], {"plugin": "redact", "parameters": {"word": "ü"}}]
    assert set(stale(site, select={"edits": changed})) == {"select"}


def test_a_scorer_feeds_a_keep_rule(site: Path) -> None:
    result = done(site, classifiers={"vowels": {"plugin": "vowels"}}, select={
        "keep": [{"rule": "threshold", "score": "vowels", "threshold": 0.5}], "filtered_sources": ["texts"]})
    assert kept(site) == [TEXTS[3]]
    assert result.view.counters("classifier/scores")["scored_plugin"] == 5


def test_a_source_kind_and_its_damage(site: Path) -> None:
    source = {"files": [f"{site.parent}/w.txt"], "kind": "words", "options": {"separator": " "}}
    result = done(site, sources={"texts": source})
    assert kept(site) == ["alpha", "beta", "gamma"]
    (record,) = result.view.tasks("extract")
    assert [(d.where, d.what) for d in record.damage] == [("w.txt@2", "a broken word")]
    documents = read_table(f"{site.parent}/run/{record.output('documents').path}")
    assert documents["record_id"].to_pylist() == ["al", "be", "ga"]
    assert [date.day for date in documents["date"].to_pylist()] == [1, 2, 4]
    done(site, sources={"texts": {**source, "since": "2024-01-02"}})
    assert kept(site) == ["beta", "gamma"]


def page(url: str, html: str) -> bytes:
    body = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n{html}".encode()
    return (f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
            f"Content-Type: application/http;msgtype=response\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body + b"\r\n\r\n"


def test_an_extractor_touches_sources_with_pages_alone(site: Path) -> None:
    (site.parent / "pages.warc").write_bytes(page("http://a.example/", "<p>one page</p>")
                                             + page("http://b.example/", "<p>unreadable</p>"))
    sources: Any = {"pages": {"files": [f"{site.parent}/pages.warc"]},
               "texts": {"files": [f"{site.parent}/a.jsonl"], "kind": "jsonl"}}
    more: dict[str, Any] = {"sources": sources, "mixture": {"weights": {"pages": 1, "texts": 1}},
            "extract": {"extractor": "upper", "identify_language": False, "signals": False}}
    result = done(site, **more)
    assert kept(site) == ["<P>ONE PAGE</P>", *TEXTS]
    assert result.view.counters("extract")["dropped_unreadable"] == 1
    (site / "sample_plugins/list.txt").write_text("a file beside the code")
    forget(site)
    (reason,) = stale(site, **more)["extract"]
    assert reason.startswith("task.extractor.files")


def test_the_lock_names_plugins(site: Path) -> None:
    done(site, signals={"lengths": {}}, select={"edits": [{"plugin": "redact", "parameters": {"word": "x"}}]})
    lock = yaml.safe_load((site.parent / "run/recipe.lock.yaml").read_text())
    assert set(lock["plugins"]) == {"signals.lengths", "edits.redact"}
    assert lock["plugins"]["signals.lengths"].keys() == {"distribution", "version", "files"}
    assert lock["recipe"]["signals"]["lengths"] == {"plugin": "lengths", "parameters": {"factor": 1.0, "offset": None}}


@pytest.mark.parametrize(("more", "message"), [
    ({"signals": {"lenghts": {}}}, r"signals\.lenghts: no signal is called 'lenghts' \(did you mean 'lengths'\? "
                                   r"installed plug-ins of curate\.signals: lengths \(sample-plugins 1\.0\)\)"),
    ({"signals": {"lengths": {"parameters": {"facter": 2}}}}, r"parameters\.facter: .*did you mean 'factor'"),
    ({"signals": {"lengths": {"parameters": {"factor": "many"}}}}, r"signals\.lengths: .*parameters\.factor: Input"),
    ({"signals": {"n_words": {"plugin": "lengths"}}}, r"signals\.n_words: is a name of the project's own"),
    ({"signals": {"lengths": {"parameters": {"offset": "absent.txt"}}}},
     r"signals\.lengths\.parameters\.offset: no file"),
    ({"select": {"rules": [{"reason": "x", "signal": "lenths", "at_least": 1}]}, "signals": {"lengths": {}}},
     r"no signal is called 'lenths' \(did you mean 'lengths'\?\)"),
    ({"select": {"edits": [{"plugin": "redakt"}]}}, r"select\.edits\.0: no edit is called 'redakt' \(did you mean"),
    ({"select": {"edits": [{"plugin": "redact"}]}}, r"parameters\.word: Field required"),
    ({"classifiers": {"x": {"plugin": "vowel"}}},
     r"classifiers\.x: no scorer is called 'vowel' \(did you mean 'vowels'"),
    ({"classifiers": {"x": {}}}, r"classifiers\.x: needs one of `path` and `plugin`"),
    ({"classifiers": {"x": {"plugin": "vowels", "parameters": {"a": 1}}}}, r"takes no parameters, and was given a"),
    ({"extract": {"extractor": "uper"}}, r"extract: no extractor is called 'uper' .*'upper'.*built in: blocks"),
    ({"extract": {"extractor": "blocks", "extractor_parameters": {"a": 1}}}, r"the extractor blocks has none"),
    ({"sources": {"texts": {"files": "x", "kind": "word"}}},
     r"sources\.texts: no source kind is called 'word'.*'words'"),
])
def test_what_is_wrong_with_a_recipe(site: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        done(site, **more)
    assert caught.value.exit_code == 2
    assert not (site.parent / "run/recipe.lock.yaml").exists()


def test_two_distributions_with_one_name(site: Path) -> None:
    write_distribution(site, "other-plugins", SAMPLE, {"signals": {"lengths": "Lengths"}})
    with pytest.raises(RecipeError, match=r"'lengths' is installed twice, by .*other-plugins 1.0.*sample-plugins"):
        done(site, signals={"lengths": {}})


BAD_SIGNALS = {
    "raises": ("raise KeyError('nothing')", r"plug-in 'bad' \(bad-plugins 1\.0\) raised KeyError: 'nothing' "
                                            r"\(__init__\.py, line 4"),
    "long": ("return [1.0] * (len(texts) + 1)", "returned 5 values for 4 texts"),
    "strings": ("return ['x'] * len(texts)", "returned values of type string, not numbers"),
    "nothing": ("return None", "not one number a text|returned 1 values"),
}


@pytest.mark.parametrize("name", BAD_SIGNALS)
def test_a_signal_that_does_not_keep_its_promise(site: Path, name: str) -> None:
    body, message = BAD_SIGNALS[name]
    write_distribution(site, "bad-plugins", f"\nclass Bad:\n    def values(self, texts, languages):\n        {body}\n",
                       {"signals": {"bad": "Bad"}})
    with pytest.raises(StageError, match=message) as caught:
        done(site, signals={"bad": {}})
    assert str(caught.value).startswith("signals/bad/texts/part-a-")
    assert caught.value.exit_code == 1


BAD_CHANGES = {
    "outside": ("[change(0, 999)]", "change of bytes 0 to 999 of a text of"),
    "order": ("[change(3, 5), change(1, 2)]", "before the end"),
    "character": ("[change(3, 4)] if 'ö' in t.as_py() else []", "byte 3, inside a character"),
    "type": ("[1, 2]", "returned list"),
}


@pytest.mark.parametrize("name", BAD_CHANGES)
def test_an_edit_that_does_not_keep_its_promise(site: Path, name: str) -> None:
    value, message = BAD_CHANGES[name]
    write_distribution(site, "bad-plugins", "import pyarrow as pa\ndef change(start, end):\n"
                       "    return {'start': start, 'end': end, 'replacement': ''}\n"
                       "class Bad:\n    def changes(self, texts):\n"
                       f"        return pa.array([{value} for t in texts])\n", {"edits": {"bad": "Bad"}})
    with pytest.raises(StageError, match=message) as caught:
        done(site, select={"edits": [{"plugin": "bad"}]})
    assert str(caught.value).startswith("select/texts/part-")


@pytest.mark.parametrize(("value", "message"), [("[2.0] * len(texts)", "the score 2.0, outside 0 to 1"),
                                                ("[0.5]", r"scores of shape \(1,\) for 4 texts")])
def test_a_scorer_that_does_not_keep_its_promise(site: Path, value: str, message: str) -> None:
    write_distribution(site, "bad-plugins", f"class Bad:\n    def scores(self, texts):\n        return {value}\n",
                       {"scorers": {"bad": "Bad"}})
    with pytest.raises(StageError, match=message):
        done(site, classifiers={"bad": {"plugin": "bad"}}, select={
            "keep": [{"rule": "threshold", "score": "bad", "threshold": 0.5}]})


def test_a_source_that_fails_sets_its_file_aside(site: Path) -> None:
    write_distribution(site, "bad-plugins", "import pyarrow as pa\nclass Bad:\n    def rows(self, stream):\n"
                       "        data = stream.read()\n        if b'secret' in data and b'Another' in data:\n"
                       "            raise ValueError('is no such file')\n"
                       "        yield pa.table({'text': [data.decode()]})\n", {"sources": {"bad": "Bad"}})
    result = done(site, sources={"texts": {"files": [f"{site.parent}/?.jsonl"], "kind": "bad"}})
    ((task, error),) = result.failed
    assert task.startswith("extract/texts/part-b-")
    assert "source kind plug-in 'bad' (bad-plugins 1.0) cannot read it: is no such file" in str(error)
    assert result.exit_code == 1
    assert len(kept(site)) == 1


def test_an_extractor_that_fails_sets_its_file_aside(site: Path) -> None:
    write_distribution(site, "bad-plugins", "class Bad:\n    def text(self, html, charset):\n"
                       "        return html if b'bytes' in html else {}['key']\n", {"extractors": {"bad": "Bad"}})
    for name, html in (("p", "<p>bytes</p>"), ("q", "<p>key</p>")):
        (site.parent / f"{name}.warc").write_bytes(page("http://a.example/", html))
    result = done(site, sources={"texts": {"files": [f"{site.parent}/a.jsonl", f"{site.parent}/?.warc"]}},
                  extract={"extractor": "bad", "identify_language": False, "signals": False})
    assert sorted(str(error) for _, error in result.failed) == [
        f"{task}: extractor plug-in 'bad' (bad-plugins 1.0) {what}" for (task, _), what in zip(
            sorted(result.failed, key=lambda failed: failed[0]),
            ("returned bytes, not a string (docs/plugins.md says what it should return)",
             "raised KeyError: 'key' (__init__.py, line 3; it is the plug-in's own code)"), strict=True)]
    assert kept(site) == list(TEXTS)


def test_a_plugin_that_changed_under_a_running_program(site: Path) -> None:
    done(site, signals={"lengths": {}})
    (site / "sample_plugins/__init__.py").write_text(SAMPLE + "\n# changed\n")
    with pytest.raises(StageError, match="have changed since this process imported them"):
        done(site, signals={"lengths": {}})


def test_a_plugin_that_cannot_be_imported(site: Path) -> None:
    write_distribution(site, "bad-plugins", "import no_such_library\n", {"signals": {"bad": "Bad"}})
    with pytest.raises(RecipeError, match=r"bad-plugins 1\.0\): cannot be imported: ModuleNotFoundError"):
        done(site, signals={"bad": {}})
    (site / "bad_plugins/__init__.py").write_text(SAMPLE.replace("Lengths", "Bad"))
    done(site, signals={"bad": {}})  # mended, without starting the program again


@pytest.mark.ray
def test_workers_see_plugins_and_write_the_same_bytes(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))  # as installed for workers too
    more: dict[str, Any] = {"signals": {"lengths": {}}, "classifiers": {"vowels": {"plugin": "vowels"}}, "select": {
        **LONG["select"], "edits": [{"plugin": "redact", "parameters": {"word": "secret"}}]}}
    inline, ray = done(site, out="inline", **more), done(site, Settings("ray", workers=2, until="clean", guards=False),
                                                         "ray", **more)
    assert inline.n_done == ray.n_done
    assert tree(site.parent / "inline") == tree(site.parent / "ray")


def test_the_command_that_lists_them(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = SAMPLE.replace("    def text(", "    def text_of(")
    write_distribution(site, "other-plugins", code, {"signals": {"lengths": "Lengths", "n_words": "Lengths"},
                                                     "edits": {"gone": "Gone"}})
    result = CliRunner().invoke(app, ["plugins", "--format", "json"])
    assert result.exit_code == 0
    rows = {(row["group"], row["name"], row["distribution"]): row["problem"] for row in json.loads(result.stdout)}
    assert len(rows) == 9
    assert rows["signals", "n_words", "other-plugins"] == "cannot be used: it is the name of one of the project's own"
    assert rows["signals", "lengths", "sample-plugins"] == "cannot be used: another distribution has one of this name"
    assert rows["edits", "gone", "other-plugins"].startswith("cannot be imported: AttributeError")
    assert rows["scorers", "vowels", "sample-plugins"] is None
    text = CliRunner().invoke(app, ["plugins"]).stdout
    assert "sample-plugins 1.0" in text
    assert "Share of vowels." in text


def test_extract_text_and_its_command_take_an_extractor_of_a_plugin(site: Path) -> None:
    assert curate.extract_text("<p>one</p>", extractor="upper") == "<P>ONE</P>"
    with pytest.raises(RecipeError, match="no extractor is called 'uper'"):
        curate.extract_text("<p>one</p>", extractor="uper")
    (site.parent / "pages.warc").write_bytes(page("http://a.example/", "<p>one page</p>"))
    out = site.parent / "out"
    result = CliRunner().invoke(app, ["extract", str(site.parent / "pages.warc"), "--extractor", "upper", "--workers",
                                      "1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    (part,) = out.glob("part-*.parquet")
    assert read_table(str(part))["text"].to_pylist() == ["<P>ONE PAGE</P>"]
