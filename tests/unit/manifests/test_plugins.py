"""Finding plug-ins, and what of them outputs depend on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from manifests.errors import RecipeError, StageError
from manifests.plugins import (
    checked_parameters,
    find,
    input_files,
    installed,
    load_for,
    load_here,
    source_digest,
    with_paths,
)
from manifests.storage import Storage
from manifests.tasks import InputRef, StageTask, Work
from tests.plugin_distribution import ENTRY_POINTS, SAMPLE, forget, on_path, write_distribution

PATHS = '''
from pathlib import Path
from pydantic import BaseModel

class Inner(BaseModel):
    file: Path

class Reading:
    class Parameters(BaseModel):
        one: Path
        several: list[Path] = []
        by_language: dict[str, Inner] = {}
        none: Path | None = None
        name: str = "a/b.txt"
    def __init__(self, parameters):
        self.parameters = parameters
'''


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    write_distribution(tmp_path / "site", "sample-plugins", SAMPLE, ENTRY_POINTS)
    with on_path(tmp_path / "site"):
        yield tmp_path / "site"


def task(facts: Mapping[str, object], inputs: dict[str, InputRef] | None = None) -> StageTask:
    return StageTask("signals", 1, "a/b", None, {}, inputs or {}, {"plugin": facts})


def test_installed_plugins_by_group(site: Path) -> None:
    assert [(p.group, p.name) for p in installed()] == [
        ("signals", "lengths"), ("extractors", "upper"), ("sources", "words"), ("scorers", "vowels"),
        ("edits", "redact"), ("exports", "count")]
    plugin = find("signals", "lengths")
    assert str(plugin) == "signal plug-in 'lengths' (sample-plugins 1.0)"
    assert plugin.summary() == ("Characters of a text, times a factor.", None)
    assert plugin.load().__name__ == "Lengths"


def test_digest_is_of_every_file_of_the_package_but_compiled_ones(site: Path) -> None:
    package = site / "sample_plugins"
    first = source_digest("sample_plugins.module")
    (package / "__pycache__").mkdir()
    (package / "__pycache__/x.cpython-311.pyc").write_bytes(b"compiled")
    (package / ".hidden").write_text("of an editor")
    assert source_digest("sample_plugins") == first
    (package / "words.txt").write_text("data")
    second = source_digest("sample_plugins")
    assert second != first
    (package / "words.txt").rename(package / "other.txt")
    assert source_digest("sample_plugins") not in (first, second)
    (package / "other.txt").unlink()
    shutil.copytree(package, site / "elsewhere/sample_plugins")
    with on_path(site / "elsewhere"):
        assert source_digest("sample_plugins") == first  # wherever it lies
    with pytest.raises(RecipeError, match="there is no package 'no_such_package'"):
        source_digest("no_such_package.module")


def test_parameters_that_are_paths_are_found_wherever_they_are(site: Path) -> None:
    write_distribution(site, "reading-plugins", PATHS, {"signals": {"reading": "Reading"}})
    given = {"one": "x.txt", "several": ["a[1].txt", "b.txt"], "by_language": {"en": {"file": "en.txt"}}}
    checked, paths = checked_parameters(find("signals", "reading"), given)
    assert paths == {"one": "x.txt", "several.0": "a[1].txt", "several.1": "b.txt", "by_language.en.file": "en.txt"}
    assert checked == {**given, "none": None, "name": "a/b.txt"}
    assert input_files(paths, "f")["f.several.0"] == ("a[[]1].txt",)  # a name, no pattern
    blank = with_paths(checked, dict.fromkeys(paths))
    assert blank == {"one": None, "several": [None, None], "by_language": {"en": {"file": None}}, "none": None,
                     "name": "a/b.txt"}
    assert with_paths(blank, dict(paths)) == checked


def test_a_task_makes_its_plugin_of_the_files_it_is_given(site: Path, tmp_path: Path) -> None:
    write_distribution(site, "reading-plugins", PATHS, {"signals": {"reading": "Reading"}})
    plugin = find("signals", "reading")
    parameters: dict[str, object] = {"one": None, "several": [None], "by_language": {}, "none": None, "name": "n"}
    facts = {**plugin.facts(), "parameters": parameters}
    inputs = {"f.one": InputRef(("/data/one",), "1"), "f.several.0": InputRef(("/data/two",), "2")}
    work = Work(Storage(str(tmp_path)), task(facts, inputs), str(tmp_path))
    made = load_for(work, "signals", facts, "f")
    assert (made.object.parameters.one, made.object.parameters.several) == (Path("/data/one"), [Path("/data/two")])
    assert load_for(work, "signals", facts, "f").object is made.object
    other = {**inputs, "f.one": InputRef(("/data/one",), "3")}  # the file has other bytes
    work = Work(Storage(str(tmp_path)), task(facts, other), str(tmp_path))
    assert load_for(work, "signals", facts, "f").object is not made.object


def test_a_worker_with_another_plugin_refuses_the_task(site: Path, tmp_path: Path) -> None:
    facts = {**find("signals", "lengths").facts(), "parameters": {"factor": 1.0, "offset": None}}
    work = Work(Storage(str(tmp_path)), task(facts), str(tmp_path))
    load_for(work, "signals", facts, "f")
    with pytest.raises(StageError, match=r"signals/a/b: .*'lengths'.* is not that of the run: version 0\.9, here 1\.0"):
        load_for(work, "signals", {**facts, "version": "0.9"}, "f")
    (site / "sample_plugins/__init__.py").write_text(SAMPLE + "# another line\n")
    forget(site)
    with pytest.raises(StageError, match="is not that of the run: files "):
        load_for(work, "signals", facts, "f")
    with pytest.raises(StageError, match=r"no signal is called 'none' \(every worker needs the plug-ins of the run\)"):
        load_for(work, "signals", {**facts, "plugin": "none"}, "f")


def test_a_plugin_outside_a_run(site: Path) -> None:
    assert load_here("signals", "lengths", {"factor": 3}, "here").object.factor == 3
    with pytest.raises(RecipeError, match=r"parameters\.factor: Input should be a valid number"):
        load_here("signals", "lengths", {"factor": "x"}, "here")
    with pytest.raises(StageError, match="raised FileNotFoundError"):
        load_here("signals", "lengths", {"offset": "no-such-file"}, "here")
