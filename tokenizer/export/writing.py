"""How an export is written: staged and renamed file by file, the description last; links where no byte changes."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from manifests.confined import confined
from manifests.errors import OwnershipError
from manifests.storage import Storage
from tokenizer.export.shards import ExportDataset

DESCRIPTION = "export.json"
_UNFINISHED = ".unfinished-export.json"  # while one is written: the same command goes over what a killed one left


class Folder:
    """The folder of an export. Files appear under their names complete or not at all; those of an earlier export that
    this one has no use for go when it is done, or a reader of all files would take them for its own."""

    def __init__(self, out: str) -> None:
        self.storage, self._prefix = Storage(out), ""
        self._written: set[str] = set()  # shared with the folders in this one
        self._earlier = self._files_before(out)
        self.storage.write_bytes(_UNFINISHED, json.dumps({"written": sorted(self._earlier)}).encode())
        self.storage.remove(DESCRIPTION)

    def _files_before(self, out: str) -> set[str]:
        """Files of the export that is there, finished or not, as its description lists them."""
        name = next((n for n in (DESCRIPTION, _UNFINISHED) if self.storage.exists(n)), DESCRIPTION)
        data = self.storage.read_bytes(name)
        if data is None:
            if os.path.isdir(out) and os.listdir(out) if self.storage.local else self.storage.list(""):
                raise OwnershipError("the folder holds files but no export", where=out, hint="choose another --output")
            return set()
        where = self.storage.path(name)
        try:
            names = json.loads(data).get("written", [])
        except (ValueError, AttributeError) as error:
            raise OwnershipError("does not say which files the export has", where=where,
                                 hint="choose another --output, or remove it") from error
        return {confined(name, f"{where}: written") for name in (names if isinstance(names, list) else [names])}

    def below(self, name: str) -> Folder:
        """A folder in this one, of a name that is made fit for a file system."""
        folder = copy(self)
        folder._prefix = f"{self._prefix}{re.sub(r'[^A-Za-z0-9._-]', '_', name)}/"
        return folder

    def write(self, name: str, blocks: Iterable[npt.NDArray[Any] | bytes]) -> int:
        """A file from blocks of bytes or arrays; returns its size in bytes."""
        n_bytes = 0

        def fill(path: str) -> None:
            nonlocal n_bytes
            with open(path, "wb") as file:
                for block in blocks:
                    data = block if isinstance(block, bytes) else np.ascontiguousarray(block).view(np.uint8).data
                    n_bytes += len(data)
                    file.write(data)

        self.make(name, fill)
        return n_bytes

    def make(self, name: str, fill: Callable[[str], object]) -> None:
        """A file that `fill` writes to the local path it is given."""
        with self.storage.staging() as staging:
            staged = os.path.join(staging, "file")
            fill(staged)
            self.storage.publish(staged, f"{self._prefix}{name}")
        self._written.add(f"{self._prefix}{name}")

    def link(self, name: str, source: str) -> None:
        """The file itself under another name, without a copy where the file system can."""

        def fill(path: str) -> None:
            try:
                os.link(source, path)
            except OSError:  # another file system
                shutil.copyfile(source, path)

        self.storage.remove(f"{self._prefix}{name}")  # renaming a link over its own file would do nothing
        self.make(name, fill)

    def json(self, name: str, value: Any) -> None:
        self.write(name, [json.dumps(value, sort_keys=True).encode()])

    def finish(self, dataset: ExportDataset, form: str, facts: dict[str, Any]) -> dict[str, Any]:
        """Write export.json: what was exported, and of which dataset."""
        description = {
            "format": form, "dataset_digest": dataset.digest, "tokenizer_sha256": dataset.tokenizer_sha256,
            "vocab_size": dataset.vocab_size, "eot_id": dataset.eot_id, "row_length": dataset.row_length,
            "packing": dataset.packing, "dtype": dataset.dtype.name, "phases": dataset.phases,
            "special_tokens": dataset.special_tokens,
            "tokens_by_source": dataset.tokens_by_source, **facts}
        if dataset.tokenizer is not None:
            self.storage.write_bytes("tokenizer.json", dataset.tokenizer)
            self._written.add("tokenizer.json")
        self.storage.remove_all(sorted(self._earlier - self._written))
        description["written"] = sorted(self._written)
        self.storage.write_bytes(DESCRIPTION, (json.dumps(description, indent=1, sort_keys=True) + "\n").encode())
        self.storage.remove(_UNFINISHED)
        self.storage.clear_staging()
        return description
