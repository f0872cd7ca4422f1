"""Distributions with plug-ins, installed into a folder as an installer leaves them: a package, and its `.dist-info`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from manifests import plugins

SAMPLE = '''
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.compute as pc
from pydantic import BaseModel

class Lengths:
    """Characters of a text, times a factor."""
    class Parameters(BaseModel, extra="forbid"):
        factor: float = 1.0
        offset: Path | None = None
    def __init__(self, parameters):
        self.factor = parameters.factor
        self.offset = float(parameters.offset.read_text()) if parameters.offset else 0.0
    def values(self, texts, languages):
        return pc.utf8_length(texts).to_numpy().astype(np.float64) * self.factor + self.offset

class Upper:
    """The whole page in capitals."""
    def text(self, html, charset):
        if b"unreadable" in html:
            raise ValueError("cannot be read")
        return html.decode().upper()

class Words:
    """Words of a file, a document each."""
    class Parameters(BaseModel, extra="forbid"):
        separator: str = " "
    def __init__(self, parameters):
        self.separator = parameters.separator
    def rows(self, stream):
        words = stream.read().decode().split(self.separator)
        yield pa.table({"text": [w for w in words if w != "broken"], "id": [w[:2] for w in words if w != "broken"],
                        "date": ["2024-01-0" + str(1 + i) for i, w in enumerate(words) if w != "broken"]})
        for number, word in enumerate(words):
            if word == "broken":
                yield number, "a broken word"

class Vowels:
    """Share of vowels."""
    def scores(self, texts):
        return [sum(c in "aeiou" for c in text.as_py()) / max(1, len(text.as_py())) for text in texts]

class Redact:
    """Takes out a word, or replaces it."""
    class Parameters(BaseModel, extra="forbid"):
        word: str
        replacement: str = ""
    def __init__(self, parameters):
        self.word, self.replacement = parameters.word.encode(), parameters.replacement
    def changes(self, texts):
        found = []
        for text in texts:
            data, at, spans = text.as_py().encode(), 0, []
            while (at := data.find(self.word, at)) >= 0:
                spans.append({"start": at, "end": at + len(self.word), "replacement": self.replacement})
                at += len(self.word)
            found.append(spans)
        return pa.array(found, pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()),
                                                   ("replacement", pa.string())])))

class Count:
    """How many shards there are."""
    class Parameters(BaseModel, extra="forbid"):
        name: str = "count.txt"
    def __init__(self, parameters):
        self.name = parameters.name
    def write(self, dataset, folder):
        n = sum(len(shards) for shards in dataset.splits.values())
        folder.write(self.name, [str(n).encode()])
        return {"shards": n}
'''
ENTRY_POINTS = {"signals": {"lengths": "Lengths"}, "extractors": {"upper": "Upper"}, "sources": {"words": "Words"},
                "scorers": {"vowels": "Vowels"}, "edits": {"redact": "Redact"}, "exports": {"count": "Count"}}


def write_distribution(folder: Path, name: str, code: str, entry_points: Mapping[str, Mapping[str, str]],
                       version: str = "1.0") -> Path:
    """A distribution `name` with one module of the same name, with underscores. Returns the module's file.

    entry_points: by group without `curate.`, classes by the names of their entry points."""
    module = name.replace("-", "_")
    package = folder / module
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text(code)
    info = folder / f"{module}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text("".join(
        f"[curate.{group}]\n" + "".join(f"{point} = {module}:{kind}\n" for point, kind in points.items())
        for group, points in entry_points.items()))
    return package / "__init__.py"


@contextmanager
def on_path(folder: Path) -> Iterator[None]:
    """With the distributions of a folder installed."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        forget(folder)
        sys.path.remove(str(folder))


def forget(folder: Path) -> None:
    """Make this process one that has imported no plug-in of a folder."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
            plugins.LOADED.pop(name.partition(".")[0], None)
    plugins.created.cache_clear()
