"""What a person asks of a run: the demo's small run answers, and what it says agrees with its tables."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from curate.why import explain
from manifests.errors import InputError
from manifests.stage_files import StageFiles
from manifests.storage import Storage
from manifests.tables import read_table
from pipelines import Run
from pipelines.asking import finding
from pipelines.asking.finding import Finder, find
from pipelines.asking.index import FOLDER, Index
from pipelines.cli.main import app
from pipelines.removal import remove
from pipelines.running import Result as RunResult
from pipelines.running import Settings, run
from tests.verbs import verb


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def folder(small_demo: tuple[Path, RunResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy: questions leave an index beside the run."""
    copy = tmp_path_factory.mktemp("asked") / "run"
    shutil.copytree(small_demo[0], copy)
    return copy


@pytest.fixture(scope="module")
def pages(folder: Path) -> list[dict[str, Any]]:
    """Extracted pages of the crawl."""
    files = StageFiles(Storage(str(folder)))
    return [row for file in files.of("extract", "documents") if file.task.startswith("crawl/")
            for row in read_table(files.path(file), ["doc_id", "url", "host"]).to_pylist()]


def test_the_index_finds_what_reading_every_table_finds(folder: Path, pages: list[dict[str, Any]]) -> None:
    for page in pages[::40]:
        found = find(str(folder), page["url"])
        assert found.how == "url"
        assert found.histories == explain(str(folder), page["url"])
        assert find(str(folder), page["doc_id"].hex()).histories == explain(str(folder), page["doc_id"].hex())


def test_other_forms_of_a_url(folder: Path, pages: list[dict[str, Any]]) -> None:
    url = next(p["url"] for p in pages if p["url"].startswith("https://") and "?" not in p["url"])
    bare = url.removeprefix("https://").removeprefix("www.").rstrip("/")
    for form in (f"http://{bare}", f"https://www.{bare}/", f"{bare}#top", f"{bare}?utm_source=mail", bare.upper()):
        found = find(str(folder), form)
        assert (found.how, found.histories[0].url) == ("form", url), form


def test_a_host_lists_its_pages_and_a_part_its_matches(folder: Path, pages: list[dict[str, Any]]) -> None:
    host = pages[0]["host"]
    found = find(str(folder), host, limit=3)
    exclusions = [h for h in Finder(StageFiles(Storage(str(folder)))).find(host, 10_000).histories
                  if h.decisions[0].verdict == "dropped"]
    assert (found.how, found.total) == ("host", sum(p["host"] == host for p in pages) + len(exclusions))
    assert len(found.histories) == min(3, found.total)
    part = find(str(folder), pages[0]["url"][-12:])
    assert (part.how, part.histories[0].url) == ("part", pages[0]["url"])
    assert find(str(folder), pages[0]["doc_id"].hex()[:9]).histories[0].doc_id == pages[0]["doc_id"].hex()


def test_a_large_host_and_a_long_search_are_not_read_to_their_end(folder: Path, pages: list[dict[str, Any]],
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    files = StageFiles(Storage(str(folder)))
    host = finding._host(pages[0]["url"])
    assert host is not None
    whole = Finder(files).find(host, 1000)
    monkeypatch.setattr(finding, "_COMPARED_PAGES", 1)
    assert Finder(files).find(host, 1000) == whole
    monkeypatch.setattr(finding, "_SECONDS", -1.0)
    with pytest.raises(InputError, match="nor a URL that holds it, as far as -1 seconds of reading tell"):
        Finder(files).find("/no-such-part/", 5)


def test_the_nearest_are_named(folder: Path, pages: list[dict[str, Any]]) -> None:
    url = pages[0]["url"]
    with pytest.raises(InputError, match="the nearest: ") as error:
        find(str(folder), url[:-2] + "~~")
    assert url in str(error.value)
    with pytest.raises(InputError, match="nearest hosts: "):
        find(str(folder), f"http://{pages[0]['host'][:-9]}x.example/none")


def test_a_random_draw_is_told_as_one(folder: Path) -> None:
    drawn = next(row for row in Run(folder).sample("select", reason="pareto", n=1).to_pylist())
    asked: Any = verb("why", str(folder), drawn["doc_id"].hex())
    select = next(d for d in asked[0]["decisions"] if d["stage"] == "select")
    assert select["chance"] == pytest.approx((2 - drawn["value"]) ** -1.5)
    assert select["draw"] > select["chance"]
    printed = ask("why", str(folder), drawn["doc_id"].hex()).output
    assert f"kept with probability {select['chance']:.3g}; this document drew {select['draw']:.3g}" in printed
    asked = verb("why", str(folder), "example", "--limit", "60")
    for history in asked:
        for decision in history["decisions"]:
            if "draw" in decision:
                assert (decision["draw"] < decision["chance"]) == (decision["verdict"] == "kept")


def test_a_drop_for_its_language_says_which(folder: Path) -> None:
    dropped = next(row for row in Run(folder).sample("extract", reason="language", n=1).to_pylist())
    printed = ask("why", str(folder), dropped["doc_id"].hex()).output
    assert f"language: {dropped['language']}, with probability" in printed


def test_answers_as_tables(folder: Path, pages: list[dict[str, Any]]) -> None:
    lines = ask("why", str(folder), pages[0]["url"], "--format", "csv").output.splitlines()
    assert lines[0].startswith("doc_id,url,source,")
    assert all(line.startswith(pages[0]["doc_id"].hex()) for line in lines[1:])


def test_a_token_leads_home_by_the_index_and_from_a_packed_folder(folder: Path) -> None:
    whole = json.loads(ask("trace", str(folder), "train/000000", "0", "--format", "json").output)
    by_scan = Run(folder).trace("train/000000", 0)
    assert [o["doc_id"] for o in whole] == [o.document["doc_id"].hex() for o in by_scan]
    assert [o["text"] for o in whole] == [o.document["text"] for o in by_scan]
    alone = json.loads(ask("trace", str(folder / "packed"), "train/000000", "0", "--format", "json").output)
    assert [(o["doc_id"], o["decoded"], o["source"]) for o in alone] == [
        (o["doc_id"], o["decoded"], o["source"]) for o in whole]
    assert all(o["origin_path"] is None for o in alone)
    assert "knows documents by their ids" in ask("trace", str(folder / "packed"), "train/000000", "0").output


def test_the_index_is_made_anew_when_the_run_changes(small_demo: tuple[Path, RunResult], small_web: Path,
                                                     tmp_path: Path, recipe_of: Callable[..., Any]) -> None:
    out = tmp_path / "run"
    shutil.copytree(small_demo[0], out)
    url = Run(out).documents("clean", source="crawl", columns=["url"]).read_all()["url"][0].as_py()
    assert find(str(out), url).histories[0].decisions[-1].stage in ("tokens", "packed", "clean")
    first = {path.parent.name for path in out.glob(f"{FOLDER}*/index.json")}
    remove(str(out), [url], [])
    assert not list(out.glob(f"{FOLDER}*/*"))
    stages = [d.stage for d in find(str(out), url).histories[0].decisions]
    assert "remove" in stages
    assert "packed" not in stages
    second = {path.parent.name for path in out.glob(f"{FOLDER}*/index.json")}
    assert len(first) == len(second) == 1
    assert first != second
    run(recipe_of(small_web), str(out), Settings(engine="inline"))
    assert {path.parent.name for path in out.glob(f"{FOLDER}*/index.json")} == second


def test_a_damaged_index_is_made_again(folder: Path, pages: list[dict[str, Any]], tmp_path: Path) -> None:
    run_folder = tmp_path / "run"
    shutil.copytree(folder, run_folder)
    page = pages[7]
    ask("why", str(run_folder), page["url"])
    tables = sorted(run_folder.glob(f"{FOLDER}*/*.keys"))
    intact = [path.read_bytes() for path in tables]
    for path, data in zip(tables, intact, strict=True):
        path.write_bytes(data[:3] + bytes([data[3] ^ 1]) + data[4:])
    found = ask("why", str(run_folder), page["url"], "--format", "json")
    assert found.exit_code == 0
    assert "making the index again" in found.stderr
    assert json.loads(found.stdout) == json.loads(ask("why", str(folder), page["url"], "--format", "json").stdout)
    assert [path.read_bytes() for path in tables] == intact
    tables[0].unlink()
    index = Index(StageFiles(Storage(str(run_folder))))
    index.clean(page["doc_id"])
    assert tables[0].read_bytes() == intact[0]


@pytest.mark.parametrize("bits", [{}, {"pages": {}}, {"pages": -1}, 3, None])
def test_what_an_index_says_of_itself_is_checked_before_it_is_believed(folder: Path, bits: Any) -> None:
    url = Run(folder).documents("clean", source="crawl", columns=["url"]).read_all()["url"][0].as_py()
    wanted = find(str(folder), url).histories
    (facts,) = folder.glob(f"{FOLDER}*/index.json")
    kept = facts.read_bytes()
    facts.write_text(json.dumps({"bits": bits}))
    assert find(str(folder), url).histories == wanted
    assert facts.read_bytes() == kept


def test_a_run_that_cannot_be_written_to_is_asked_all_the_same(folder: Path, pages: list[dict[str, Any]],
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    files = StageFiles(Storage(str(folder)))
    for name in files.storage.list("_index"):
        files.storage.remove(name)

    def refuse(self: Storage, staged: str, name: str) -> None:
        if self.root == str(folder):
            raise PermissionError(13, "Permission denied", name)
        publish(self, staged, name)

    publish = Storage.publish
    monkeypatch.setattr(Storage, "publish", refuse)
    index = Index(files)
    assert [entry.file.task for entry, _ in index.documents(pages[5]["doc_id"])]
    assert not files.storage.list("_index")
