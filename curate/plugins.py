"""Plug-ins in recipes, and what each kind of them does.

A plug-in is a class that an installed distribution names in an entry-point group `curate.<group>`. It is made with its
parameters, once a process, and called for batches. It must be a function of what it is given: what it says of a text
depends on that text, its parameters and its files alone, not on the batch, the clock or chance. docs/plugins.md is the
guide, `examples/plugin` a distribution with one of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any, ClassVar, Protocol

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from manifests.errors import RecipeError
from manifests.plugins import checked_parameters, find, input_files, with_paths


class Signal(Protocol):
    """Group `curate.signals`: a number of every text, which rules compare with thresholds."""

    def values(self, texts: pa.LargeStringArray, languages: pa.StringArray) -> Any:
        """The signal, one number a text; NaN or null where nothing can be said.

        Args:
            texts: large_string [n], without nulls.
            languages: ISO 639-1 codes, string [n]; null where unknown.
        Returns:
            A NumPy or Arrow array of numbers, [n]; it is stored as float32.
        """
        ...


class Extractor(Protocol):
    """Group `curate.extractors`: the text of a page."""

    def text(self, html: bytes, charset: str | None) -> str:
        """The text of one page; empty where there is none.

        Args:
            html: The page, in any encoding.
            charset: What HTTP says of its encoding, if it does.
        Raises:
            ValueError: The page cannot be read, which costs that page alone.
        """
        ...


class Source(Protocol):
    """Group `curate.sources`: the rows of a kind of file."""

    def rows(self, stream: IO[bytes]) -> Iterable[Any]:
        """The rows of one file, in order.

        Args:
            stream: The file, seekable, local or remote, as it is stored.
        Yields:
            Arrow record batches or tables with a column `text`, and where there are such `id`, `url` (strings) and
            `date` (a timestamp, or a string that is one; what is none counts as undated).
            In place of a row that cannot be read, `(where, what)`: a byte offset or row number, and the reason.
        Raises:
            ValueError: The file cannot be read at all; it is set aside and named.
        """
        ...


class Scorer(Protocol):
    """Group `curate.scorers`: a score of every text, which keep rules read as a classifier's."""

    def scores(self, texts: pa.LargeStringArray) -> Any:
        """Scores in 0 to 1, one a text: a NumPy or Arrow array, [n]; stored as float32. texts: large_string [n]."""
        ...


class Edit(Protocol):
    """Group `curate.edits`: spans of texts that go or are replaced."""

    def changes(self, texts: pa.LargeStringArray) -> Any:
        """What to change, as `list<struct<start: int64, end: int64, replacement: string>>` [n].

        Args:
            texts: large_string [n]: kept documents as they were extracted.
        Returns:
            For every text its changes, in order and apart: bytes start:end of its UTF-8 are replaced, by nothing where
            the replacement is empty. A null or empty list leaves the text as it is.
        """
        ...


class Export(Protocol):
    """Group `curate.exports`: a format of packed datasets. Its class may say `of_documents = True` where each source
    can be written by itself, and `holds`, a frozenset of what of `tokenizer.export.shards.FACETS` its files tell."""

    def write(self, dataset: Any, folder: Any) -> Mapping[str, Any]:
        """Write a dataset into a folder.

        Args:
            dataset: A `tokenizer.export.shards.ExportDataset`.
            folder: A `tokenizer.export.writing.Folder`.
        Returns:
            Facts for export.json.
        """
        ...


class PluginConfig(BaseModel):
    """An installed plug-in, by the name of its entry point, and its parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    GROUP: ClassVar[str]

    plugin: str = Field(description="Name of an installed plug-in; `curate plugins` lists them.")
    parameters: dict[str, Any] = Field(default_factory=dict, description=(
        "Its parameters, as the plug-in describes them. Those that are paths are inputs of the run."))

    @model_validator(mode="before")
    @classmethod
    def _checked(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or not isinstance(fields.get("plugin"), str):
            return fields
        return {**fields, "parameters": validated(cls.GROUP, fields["plugin"], fields.get("parameters") or {})}

    def paths(self) -> dict[str, str]:
        """Parameters that are paths, by their positions."""
        return plugin_paths(self.GROUP, self.plugin, self.parameters)

    def facts(self) -> dict[str, Any]:
        """What outputs depend on, beside the files that parameters name."""
        return plugin_facts(self.GROUP, self.plugin, self.parameters)

    def inputs(self, field: str) -> dict[str, tuple[str, ...]]:
        """Its input files, by the field that names each. field: where the recipe has this."""
        return input_files(self.paths(), f"{field}.parameters")


class SignalPlugin(PluginConfig):
    """A signal that an installed plug-in computes."""

    GROUP: ClassVar[str] = "signals"


class EditPlugin(PluginConfig):
    """Spans of texts that an installed plug-in takes out or replaces."""

    GROUP: ClassVar[str] = "edits"


def validated(group: str, name: str, parameters: Mapping[str, Any], own: Iterable[str] = ()) -> dict[str, Any]:
    """Parameters of a plug-in, with every default, inside a pydantic model: what is wrong is an error of its field."""
    try:
        return checked_parameters(find(group, name, own), parameters)[0]
    except RecipeError as error:
        raise PydanticCustomError("plugin", "{text}", {"text": str(error)}) from error


def plugin_paths(group: str, name: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that are paths, by their positions."""
    return checked_parameters(find(group, name), parameters)[1]


def plugin_facts(group: str, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What outputs of a plug-in depend on, beside the files that its parameters name."""
    plugin = find(group, name)
    checked, paths = checked_parameters(plugin, parameters)
    return {**plugin.facts(), "parameters": with_paths(checked, dict.fromkeys(paths))}
