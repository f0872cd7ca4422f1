"""A small web in files, and a way to run one stage on it as the engine does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curate.text.urls import host_of
from manifests.hashing import document_id
from manifests.records import TaskRecord
from manifests.schema import DOCUMENTS, ID
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
    """run(stage, shard, function, config, inputs, **variables) -> record; inputs: name -> path or paths."""

    def one(stage: str, shard: str, function: Any, config: Any, inputs: Mapping[str, str | Sequence[str]],
            **variables: Any) -> TaskRecord:
        refs = {name: InputRef((paths,) if isinstance(paths, str) else tuple(paths), "")
                for name, paths in inputs.items()}
        task = StageTask(stage, 1, shard, config, {}, refs, {"seed": 7, **variables})
        return execute(storage, task, function)

    return one


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """part(source, name, [(url, text), ...]) -> path of a DOCUMENTS file in row groups of `group` rows."""

    def write(source: str, name: str, pages: Sequence[tuple[str | None, str]], group: int = 7) -> str:
        n = len(pages)
        texts = [text for _, text in pages]
        table = pa.table([
            pa.array([document_id(source, name, i) for i in range(n)], ID), pa.nulls(n, pa.string()),
            pa.array([source] * n, pa.string()), pa.array([url for url, _ in pages], pa.string()),
            pa.array([host_of(url) if url else None for url, _ in pages], pa.string()),
            pa.nulls(n, pa.timestamp("ms", "UTC")), pa.array([name] * n, pa.string()), pa.array(range(n), pa.int64()),
            pa.array([-1] * n, pa.int64()), pa.nulls(n, pa.string()), pa.nulls(n, pa.float32()),
            pa.array(texts, pa.large_string()), pa.array([len(text.encode()) for text in texts], pa.int64()),
        ], schema=DOCUMENTS)
        path = tmp_path / "run" / "extract" / source / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(str(path), DOCUMENTS, (table.slice(i, group) for i in range(0, n, group)))
        return str(path)

    return write


GOOD = ["river", "mountain", "history", "theory", "language", "music", "century", "science", "people", "essay",
        "argument", "evidence"]
BAD = ["buy", "cheap", "price", "cart", "discount", "shipping", "login", "click", "offer", "casino", "coupon", "deal"]
BOTH = ["the", "a", "of", "and", "to", "in", "is", "was", "for", "on", "with", "page", "site", "home"]


def page_text(good: bool, number: int) -> str:
    """Some forty words, mostly of one kind; the same for the same arguments."""
    own, other = (GOOD, BAD) if good else (BAD, GOOD)
    pick = [own, BOTH, own, BOTH, other if number % 5 == 0 else own]
    return " ".join(pick[i % 5][(number * 7 + i * i) % len(pick[i % 5])] for i in range(40))


@pytest.fixture
def web(part: Part, run: Run, storage: Storage) -> dict[str, dict[str, str]]:
    """Two crawl parts (20 good hosts of 4 pages, 40 bad ones) and a part of books: {part: {documents, labels}}."""
    from curate.classifier.config import LabelsConfig
    from curate.classifier.labels import labels
    from curate.classifier.links import LINKED_HOSTS

    pages = [(f"http://good{i % 20}.org/{i}", page_text(True, i)) for i in range(80)]
    pages += [(f"http://bad{i % 40}.com/{i}", page_text(False, i)) for i in range(160)]
    books: list[tuple[str | None, str]] = [(None, page_text(True, i)) for i in range(200, 230)]
    hosts = storage.path("hosts.parquet")
    Path(hosts).parent.mkdir(parents=True, exist_ok=True)
    write_table(hosts, LINKED_HOSTS, [pa.table([[f"good{i}.org" for i in range(20)], [9] * 20], schema=LINKED_HOSTS)])
    found = {}
    for source, name, rows in (("crawl", "one", pages[::2]), ("crawl", "two", pages[1::2]), ("books", "one", books)):
        documents = part(source, name, rows, group=50)
        record = run("classifier/labels", f"{source}/{name}", labels, LabelsConfig(folds=3),
                     {"documents": documents, "hosts": hosts}, source=source, curated=source == "books",
                     derived={"source": "webtext", "labels": ["url"]} if source == "crawl" else None)
        found[f"{source}/{name}"] = {"documents": documents, "labels": storage.path(record.output("labels").path)}
    return found


@pytest.fixture
def sampled(web: dict[str, dict[str, str]], run: Run) -> list[str]:
    """Paths of the samples of the web's parts."""
    from curate.classifier.config import ClassifierConfig
    from curate.classifier.samples import samples

    return [run("classifier/samples", name, samples, ClassifierConfig(), inputs,
                negative=name.startswith("crawl")).output("samples").path for name, inputs in web.items()]


@pytest.fixture
def models(sampled: list[str], run: Run) -> list[TaskRecord]:
    """Records of the three folds' models and of the whole one."""
    from curate.classifier.config import ClassifierConfig
    from curate.classifier.training import classifier

    config = ClassifierConfig(buckets=2000, min_count=1, epochs=20)
    return [run("classifier", name, classifier, config, {"examples": sampled}, fold=fold)
            for name, fold in (("fold-0", 0), ("fold-1", 1), ("fold-2", 2), ("model", None))]
