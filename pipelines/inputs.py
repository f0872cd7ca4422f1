"""The user's input files: found, named and fingerprinted before any work."""

from __future__ import annotations

import glob
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import xxhash

from curate.sources.files import below_common_folder
from curate.sources.files import find_files as find_files
from curate.sources.http import HttpClient
from curate.sources.http_config import HttpConfig
from curate.sources.http_file import is_http
from manifests.errors import RecipeError
from manifests.graph import InputFile
from manifests.object_stores import S3Access, filesystem, reached, store_errors
from manifests.schema import INPUT_FILES
from manifests.storage import Storage, digest_file, is_local, local_path
from manifests.tables import read_table, write_table
from pipelines.earlier_runs import check_recorded

_WILDCARD = re.compile(r"[*?\[]")
_CACHE = "_records/inputs.json"
_TABLE_ROWS = 1 << 16  # of a row group: a reader of one archive's records reads little else


class InputScanner:
    """Finds the files of a pattern. Digests of local files are kept with the run's records, by size and time of
    change, so that resuming does not read everything again; objects behind URLs are known by size and ETag.

    reads_all: whether every local file is read, whatever its size and time are."""

    def __init__(self, storage: Storage, http: HttpConfig | None = None, reads_all: bool = False) -> None:
        self._storage = storage
        self._reads_all = reads_all
        self._http = http or HttpConfig()
        data = storage.read_bytes(_CACHE)
        self._known: dict[str, list[Any]] = _parse(data) if data else {}
        self._seen: dict[str, list[Any]] = {}
        self._tables: dict[str, pa.Table] = {}

    def scan(self, patterns: Sequence[str], field: str, in_order: bool = False) -> tuple[InputFile, ...]:
        """Files of the patterns, sorted by relative path. Raises RecipeError naming the field if one matches none.

        in_order: as the patterns have them, sorted within each; two files of one name are then known by their paths
        below the folder that all files share."""
        found: dict[str, _Match] = {}
        for pattern in patterns:
            matches = _expand(reached(pattern, self.access))
            if not matches:
                raise RecipeError(f"no file matches {pattern!r}", where=field,
                                  hint="paths start at the working directory; --set NAME=VALUE sets a variable")
            found |= {match.path: match for match in matches}
        known = zip(found.values(), self._fingerprints(list(found.values())), strict=True)
        files = [InputFile(match.path, match.relative, n_bytes, digest) for match, (n_bytes, digest) in known]
        name, n = max(Counter(f.relative for f in files).items(), key=lambda item: item[1], default=("", 0))
        if in_order:
            return tuple(_below_common_folder(files) if n > 1 else files)
        if n > 1:
            raise RecipeError(f"two files share the name {name!r} below their patterns", where=field,
                              hint="name them by one pattern with a common root, or make two sources")
        return tuple(sorted(files, key=lambda f: (f.relative, f.path)))

    @property
    def access(self) -> S3Access:
        """How s3:// is reached."""
        return self._storage.access

    def own_file(self, name: str) -> InputFile | None:
        """A file of the run itself that is an input too, if it is there."""
        if not self._storage.exists(name):
            return None
        path = self._storage.path(name)
        return InputFile(path, name, self._storage.size(name) or 0, digest_file(path))

    def save(self) -> None:
        """Keep what was learnt for the next run."""
        text = json.dumps(self._seen, sort_keys=True)
        self._storage.write_bytes(_CACHE, json.dumps([xxhash.xxh3_128_hexdigest(text.encode()), text]).encode())
        for name, table in self._tables.items():
            with self._storage.staging() as folder:
                parts = (table.slice(start, _TABLE_ROWS) for start in range(0, len(table), _TABLE_ROWS))
                write_table(f"{folder}/table", table.schema, parts)
                self._storage.publish(f"{folder}/table", name)

    def remember(self, key: str, find: Callable[[], list[str]]) -> list[str]:
        """What an earlier run learnt under a key, or what is found now and will be kept."""
        known = self._seen.get(key) or self._known.get(key) or find()
        self._seen[key] = list(known)
        return [str(v) for v in known]

    def remember_table(self, name: str, find: Callable[[], pa.Table]) -> pa.Table:
        """A table that lies under this name in the run, or that is found now and will be kept there."""
        table = read_table(self._storage.path(name)) if self._storage.exists(name) else find()
        self._tables[name] = table
        return table

    def _fingerprints(self, matches: Sequence[_Match]) -> list[tuple[int, str]]:
        """`fingerprint` of each; web servers are asked for several files at a time."""
        asked = [match.path for match in matches if is_http(match.path)]
        with ThreadPoolExecutor(min(self._http.max_connections, max(1, len(asked)))) as threads:
            answers = dict(zip(asked, threads.map(self.fingerprint, asked), strict=True))
        return [answers[match.path] if match.path in answers else _version_of(match.facts) if match.facts is not None
                else self.fingerprint(match.path) for match in matches]

    def fingerprint(self, path: str) -> tuple[int, str]:
        """(bytes, digest) of a file: of its content, or of an object behind a URL by its size and version.

        Raises InputError where a file that is read is of an earlier run, and not what that recorded."""
        if is_http(path):
            with closing(HttpClient(self._http)) as client:
                n_bytes, version = client.size_and_version(path)
            return n_bytes, xxhash.xxh3_128_hexdigest(json.dumps([n_bytes, version]).encode())
        if not is_local(path):
            with store_errors(path):
                return _version_of(filesystem(reached(path, self.access))[0].info(path))
        state = os.stat(local_path(path))
        known = (self._seen if self._reads_all else self._known).get(path)
        if known is None or known[:2] != [state.st_size, state.st_mtime_ns]:
            known = [state.st_size, state.st_mtime_ns, digest_file(path)]
            check_recorded(local_path(path), known[2])
        self._seen[path] = known
        return state.st_size, str(known[2])


@dataclass(frozen=True, slots=True)
class _Match:
    """A file that a pattern finds. relative: its path below the pattern's root. facts: what a store's listing says of
    it, where one was made."""

    path: str
    relative: str
    facts: Mapping[str, Any] | None = None


def _version_of(facts: Mapping[str, Any]) -> tuple[int, str]:
    """(bytes, digest) of an object by what its store says of it, in a listing or when asked for it alone."""
    identity = [facts.get("size"), facts.get("ETag") or facts.get("etag") or facts.get("LastModified")]
    return int(facts.get("size") or -1), xxhash.xxh3_128_hexdigest(json.dumps(identity, default=str).encode())


def _below_common_folder(files: Sequence[InputFile]) -> list[InputFile]:
    names = below_common_folder([f.path for f in files])
    return [replace(f, relative=name) for f, name in zip(files, names, strict=True)]


def _parse(data: bytes) -> dict[str, list[Any]]:
    """What was kept of inputs, as far as it is what was written: it is made again where it is not."""
    try:
        digest, text = json.loads(data)
        if xxhash.xxh3_128_hexdigest(text.encode()) != digest:
            return {}
        loaded = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return {key: value for key, value in loaded.items() if isinstance(value, list)} if isinstance(loaded, dict) else {}


def _expand(pattern: str) -> list[_Match]:
    """Each file that a pattern finds, by path; the root is the pattern up to its last folder without a wildcard."""
    if is_http(pattern):
        if "*" in pattern:
            raise RecipeError("a web server lists no files, so an address takes no pattern", where=pattern,
                              hint="name each file, or take `commoncrawl:` for a crawl")
        address = urlsplit(pattern)
        name = address.path.rpartition("/")[2] or "index"
        return [_Match(pattern, f"{name}?{address.query}" if address.query else name)]
    if is_local(pattern):
        plain = os.path.abspath(local_path(pattern))
        if os.path.isfile(plain):  # whatever brackets its name holds
            return [_Match(plain, os.path.basename(plain))]
        root = _WILDCARD.split(plain, maxsplit=1)[0].rpartition("/")[0]
        paths = sorted(p for p in glob.glob(plain, recursive=True) if os.path.isfile(p))
        return [_Match(p, p[len(root) :].lstrip("/")) for p in paths]
    fs, plain = filesystem(pattern)
    found: dict[str, Any] = {}
    with store_errors(pattern):
        if _WILDCARD.search(plain):  # a listing says of a thousand objects what they are
            found = {name: facts for name, facts in fs.glob(plain, detail=True).items() if facts["type"] == "file"}
        elif fs.exists(plain):
            found = {plain: None}
    root = _WILDCARD.split(plain, maxsplit=1)[0].rpartition("/")[0]
    return [_Match(str(fs.unstrip_protocol(name)), name[len(root) :].lstrip("/"), found[name])
            for name in sorted(found)]


def part_names(paths: Sequence[str]) -> list[str]:
    """A file name for the part that each input becomes: `part-<stem>.parquet`, with a hash of the path where two inputs
    share a stem; a part keeps its name."""
    stems = [re.sub(r"[^A-Za-z0-9_-]+", "-", PurePath(path).name.split(".")[0]).removeprefix("part-") or "file"
             for path in paths]
    return [f"part-{stem}.parquet" if stems.count(stem) == 1 else
            f"part-{stem}-{xxhash.xxh3_64_hexdigest(path.encode())[:8]}.parquet"
            for stem, path in zip(stems, paths, strict=True)]


def describe(files: Sequence[InputFile]) -> dict[str, Any]:
    """What the lock file says of input files; `input_table` lists them."""
    digest = xxhash.xxh3_128_hexdigest(json.dumps([[f.relative, f.n_bytes, f.digest] for f in files]).encode())
    return {"files": len(files), "n_bytes": sum(f.n_bytes for f in files), "digest": digest}


def input_table(files: Mapping[str, Sequence[InputFile]]) -> pa.Table:
    """INPUT_FILES by field: never where files lie, only what they are."""
    each = [(field, f) for field, found in files.items() for f in found]
    columns = [[field for field, _ in each], [f.relative for _, f in each], [f.n_bytes for _, f in each],
               [f.digest for _, f in each]]
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, INPUT_FILES, strict=True)], schema=INPUT_FILES)
