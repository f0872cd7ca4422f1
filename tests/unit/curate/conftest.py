"""One stage run as the engine does, documents that a test makes up, and a small web that the graph has run over."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.text.urls import hosts_of
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import DOCUMENTS
from manifests.storage import Storage
from manifests.tables import write_table
from manifests.tasks import InputRef, StageTask, execute

Run = Callable[..., TaskRecord]
Part = Callable[..., str]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "run"))


@pytest.fixture
def run(storage: Storage) -> Run:
    """run(stage, task, function, config, inputs, **variables) -> record; inputs: name -> path or paths."""

    def one(stage: str, name: str, function: Any, config: Any, inputs: Mapping[str, str | Sequence[str]],
            **variables: Any) -> TaskRecord:
        refs = {name: InputRef((paths,) if isinstance(paths, str) else tuple(paths), "")
                for name, paths in inputs.items()}
        task = StageTask(stage, 1, name, config, {}, refs, {"seed": 7, **variables})
        return execute(storage, task, function)

    return one


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """part(source, name, [(url, text), ...]) -> path of a DOCUMENTS file in row groups of `group` rows."""

    def write(source: str, name: str, pages: Sequence[tuple[str | None, str]], group: int = 7) -> str:
        n = len(pages)
        texts = [text for _, text in pages]
        urls = pa.array([url for url, _ in pages], pa.string())
        known: dict[str, Any] = {
            "doc_id": [document_id(source, name, i) for i in range(n)], "source": [source] * n, "url": urls,
            "host": hosts_of(urls), "origin_path": [name] * n, "origin_offset": range(n), "origin_length": [-1] * n,
            "text": texts, "n_bytes": [len(text.encode()) for text in texts]}
        table = pa.table([pa.array(known.get(f.name, [None] * n), f.type) for f in DOCUMENTS], schema=DOCUMENTS)
        path = tmp_path / "run" / "extract" / source / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(str(path), DOCUMENTS, (table.slice(i, group) for i in range(0, n, group)))
        return str(path)

    return write


@pytest.fixture(scope="session")
def built_web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the small web in `in` and a run over it in `run`, from its links to its decisions."""
    from tests.unit.curate.small_web import run_web, write_web

    folder = tmp_path_factory.mktemp("web")
    write_web(folder / "in")
    run_web(folder / "run", folder / "in", select={"filtered_sources": []})
    return folder


@pytest.fixture
def web_folder(built_web: Path, tmp_path: Path) -> Path:
    """A copy of it, to go on with; its run is where `storage` and `run` work."""
    shutil.copytree(built_web, tmp_path, dirs_exist_ok=True)
    return tmp_path
