"""The formats that a dataset can be exported to, in one table, and exporting to one of them.

Another format is one module with a function that writes it, and one entry here. Importing the table loads none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from manifests.errors import RecipeError
from manifests.plugins import Loaded, load_here


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """One format.

    name: as the command line calls it. description: who reads it. function: `package.module:function`, called as
    `function(dataset, folder, zero_copy)`; it writes the files and returns facts for export.json. zero_copy: whether
    its files can be hard links of the shards. of_documents: whether its samples are documents, so that each source
    can be written by itself. holds: which of `tokenizer.export.shards.FACETS` its files tell."""

    name: str
    description: str
    function: str
    zero_copy: bool = False
    of_documents: bool = False
    holds: frozenset[str] = frozenset()

    def write(self, dataset: Any, folder: Any, zero_copy: bool) -> dict[str, Any]:
        """Write a dataset into a folder, and say what was written."""
        module, _, name = self.function.partition(":")
        writer: Callable[[Any, Any, bool], dict[str, Any]] = getattr(import_module(module), name)
        return writer(dataset, folder, zero_copy)


@dataclass(frozen=True, slots=True)
class PluginFormat(ExportFormat):
    """The format of an installed plug-in, whose class may say `of_documents` and `holds` like any other."""

    plugin: Loaded | None = None

    @staticmethod
    def of(plugin: Loaded) -> PluginFormat:
        """The format that a plug-in writes."""
        kind = type(plugin.object)
        return PluginFormat(plugin.plugin.name, "", "", of_documents=bool(getattr(kind, "of_documents", False)),
                            holds=frozenset(getattr(kind, "holds", ())), plugin=plugin)

    def write(self, dataset: Any, folder: Any, zero_copy: bool) -> dict[str, Any]:
        """As of ExportFormat. Raises StageError where the plug-in raises, or gives no facts."""
        assert self.plugin is not None  # `of` makes them
        with self.plugin.blamed():
            facts = self.plugin.object.write(dataset, folder)
        if not isinstance(facts, Mapping):
            raise self.plugin.wrong(f"returned {type(facts).__name__}, not facts by name")
        return {"plugin": self.plugin.plugin.facts(), **facts}


_BOUNDS = frozenset({"bounds", "padding"})

FORMATS: Final[dict[str, ExportFormat]] = {form.name: form for form in (
    ExportFormat("megatron", "Megatron-LM, NeMo", "tokenizer.export.megatron:export_megatron", zero_copy=True,
                 of_documents=True, holds=_BOUNDS),
    ExportFormat("megatron-sft", "Megatron Bridge, packed fine-tuning data",
                 "tokenizer.export.labelled:export_megatron_sft", holds=_BOUNDS | {"labels"}),
    ExportFormat("llmc", "llm.c, modded-nanogpt", "tokenizer.export.flat:export_llmc", zero_copy=True),
    ExportFormat("nanogpt", "nanoGPT", "tokenizer.export.flat:export_nanogpt", of_documents=True,
                 holds=frozenset({"padding"})),
    ExportFormat("olmo", "OLMo", "tokenizer.export.flat:export_olmo", of_documents=True,
                 holds=_BOUNDS | {"sources"}),
    ExportFormat("datatrove", "datatrove, Nanotron", "tokenizer.export.flat:export_datatrove",
                 of_documents=True, holds=_BOUNDS),
    ExportFormat("mds", "MosaicML Streaming", "tokenizer.export.rows:export_mds"),
    ExportFormat("litdata", "litdata, LitGPT", "tokenizer.export.rows:export_litdata", zero_copy=True),
    ExportFormat("hf", "Hugging Face datasets", "tokenizer.export.labelled:export_hf",
                 holds=_BOUNDS | {"labels", "weights", "sources", "answers"}),
)}


def export_dataset(path: str, form: str, out: str, zero_copy: bool = False, by_source: bool = False,
                   phase: int | None = None, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Export a packed dataset to a format of another trainer. The same dataset gives the same bytes.

    Args:
        path: A finished run, or its `packed` folder; local or a URL.
        form: A name in `FORMATS`, or of an installed plug-in (`curate.exports`).
        out: Folder of the export; local or a URL.
        zero_copy: Whether files are hard links of the shards, which a change of either would change.
        by_source: Whether every source gets a folder of its own, of its name.
        phase: Number of the one phase of the training split that is exported, without the val split; None: all.
        parameters: Those of a plug-in.
    Returns:
        What export.json says: the format, the dataset's digest and tokenizer, the format's own counts, and under
        `not_held` what the dataset has and the format cannot hold.
    Raises:
        InputError: There is no dataset, or the format cannot hold it.
        RecipeError: There is no such format or phase, it has no zero-copy form, or its rows mix sources.
        StageError: A plug-in raised an error.
        OwnershipError: The folder holds something else.
    """
    chosen = FORMATS.get(form) or PluginFormat.of(load_here("exports", form, parameters or {}, out, FORMATS))
    if parameters and form in FORMATS:
        raise RecipeError(f"the format {form} takes no parameters", where=f"--set {next(iter(parameters))}")
    if zero_copy and not chosen.zero_copy:
        able = ", ".join(name for name, other in FORMATS.items() if other.zero_copy)
        raise RecipeError(f"{form} cannot be made without a copy", where="--zero-copy", hint=f"these can: {able}")
    if by_source and not chosen.of_documents:
        able = ", ".join(name for name, other in FORMATS.items() if other.of_documents)
        raise RecipeError(f"rows of {form} hold documents of several sources", where="--by-source",
                          hint=f"these hold documents: {able}; or pack each source by itself")
    from tokenizer.export.shards import not_held, open_dataset
    from tokenizer.export.writing import Folder

    with open_dataset(path) as whole:
        dataset = whole if phase is None else whole.of_phase(phase)
        folder = Folder(out)
        if by_source:
            facts: dict[str, Any] = {"sources": {
                name: chosen.write(dataset.of_source(number), folder.below(name), zero_copy)
                for number, name in dataset.sources.items()}}
        else:
            facts = chosen.write(dataset, folder, zero_copy)
        return folder.finish(dataset, form, {**facts, "not_held": not_held(dataset, chosen.holds, by_source),
                                             **({} if phase is None else {"phase": phase})})
