"""The formats that a dataset can be exported to, in one table, and exporting to one of them.

Another format is one module with a function that writes it, and one entry here. Importing the table loads none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from manifests.errors import RecipeError


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
                   phase: int | None = None) -> dict[str, Any]:
    """Export a packed dataset to a format of another trainer. The same dataset gives the same bytes.

    Args:
        path: A finished run, or its `packed` folder; local or a URL.
        form: A name in `FORMATS`.
        out: Folder of the export; local or a URL.
        zero_copy: Whether files are hard links of the shards, which a change of either would change.
        by_source: Whether every source gets a folder of its own, of its name.
        phase: Number of the one phase of the training split that is exported, without the val split; None: all.
    Returns:
        What export.json says: the format, the dataset's digest and tokenizer, the format's own counts, and under
        `not_held` what the dataset has and the format cannot hold.
    Raises:
        InputError: There is no dataset, or the format cannot hold it.
        RecipeError: There is no such format or phase, it has no zero-copy form, or its rows mix sources.
        OwnershipError: The folder holds something else.
    """
    if form not in FORMATS:
        raise RecipeError("is not an export format", where=form, hint=f"choose one of {', '.join(FORMATS)}")
    if zero_copy and not FORMATS[form].zero_copy:
        able = ", ".join(name for name, other in FORMATS.items() if other.zero_copy)
        raise RecipeError(f"{form} cannot be made without a copy", where="--zero-copy", hint=f"these can: {able}")
    if by_source and not FORMATS[form].of_documents:
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
                name: FORMATS[form].write(dataset.of_source(number), folder.below(name), zero_copy)
                for number, name in dataset.sources.items()}}
        else:
            facts = FORMATS[form].write(dataset, folder, zero_copy)
        return folder.finish(dataset, form, {**facts, "not_held": not_held(dataset, FORMATS[form].holds, by_source),
                                             **({} if phase is None else {"phase": phase})})
