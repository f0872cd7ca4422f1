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
    its files can be hard links of the shards."""

    name: str
    description: str
    function: str
    zero_copy: bool = False

    def write(self, dataset: Any, folder: Any, zero_copy: bool) -> dict[str, Any]:
        """Write a dataset into a folder, and say what was written."""
        module, _, name = self.function.partition(":")
        writer: Callable[[Any, Any, bool], dict[str, Any]] = getattr(import_module(module), name)
        return writer(dataset, folder, zero_copy)


FORMATS: Final[dict[str, ExportFormat]] = {form.name: form for form in (
    ExportFormat("megatron", "Megatron-LM, NeMo", "tokenizer.export.megatron:export_megatron", zero_copy=True),
    ExportFormat("llmc", "llm.c, modded-nanogpt", "tokenizer.export.flat:export_llmc", zero_copy=True),
    ExportFormat("nanogpt", "nanoGPT", "tokenizer.export.flat:export_nanogpt"),
    ExportFormat("olmo", "OLMo", "tokenizer.export.flat:export_olmo"),
    ExportFormat("datatrove", "datatrove, Nanotron", "tokenizer.export.flat:export_datatrove"),
    ExportFormat("mds", "MosaicML Streaming", "tokenizer.export.rows:export_mds"),
    ExportFormat("litdata", "litdata, LitGPT", "tokenizer.export.rows:export_litdata", zero_copy=True),
    ExportFormat("hf", "Hugging Face datasets", "tokenizer.export.rows:export_hf"),
)}


def export_dataset(path: str, form: str, out: str, zero_copy: bool = False) -> dict[str, Any]:
    """Export a packed dataset to a format of another trainer. The same dataset gives the same bytes.

    Args:
        path: A finished run, or its `packed` folder.
        form: A name in `FORMATS`.
        out: Folder of the export.
        zero_copy: Whether files are hard links of the shards, which a change of either would change.
    Returns:
        What export.json says: the format, the dataset's digest and tokenizer, and the format's own counts.
    Raises:
        InputError: There is no dataset, or the format cannot hold it.
        RecipeError: There is no such format, or it has no zero-copy form.
        OwnershipError: The folder holds something else.
    """
    if form not in FORMATS:
        raise RecipeError("is not an export format", where=form, hint=f"choose one of {', '.join(FORMATS)}")
    if zero_copy and not FORMATS[form].zero_copy:
        able = ", ".join(name for name, other in FORMATS.items() if other.zero_copy)
        raise RecipeError(f"{form} cannot be made without a copy", where="--zero-copy", hint=f"these can: {able}")
    from tokenizer.export.shards import open_dataset
    from tokenizer.export.writing import Folder

    dataset = open_dataset(path)
    folder = Folder(out)
    return folder.finish(dataset, form, FORMATS[form].write(dataset, folder, zero_copy))
