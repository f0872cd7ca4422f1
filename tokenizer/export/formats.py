"""The formats by name, and exporting a dataset to one of them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final

from manifests.errors import RecipeError
from tokenizer.export.flat import export_datatrove, export_llmc, export_nanogpt, export_olmo
from tokenizer.export.megatron import export_megatron
from tokenizer.export.rows import export_hf, export_litdata, export_mds
from tokenizer.export.shards import ExportDataset, open_dataset
from tokenizer.export.writing import Folder


class Format(StrEnum):
    """What a dataset can be exported to."""

    MEGATRON = "megatron"
    LLMC = "llmc"
    NANOGPT = "nanogpt"
    OLMO = "olmo"
    DATATROVE = "datatrove"
    MDS = "mds"
    LITDATA = "litdata"
    HF = "hf"


_EXPORTERS: Final[dict[Format, Callable[[ExportDataset, Folder, bool], dict[str, Any]]]] = {
    Format.MEGATRON: export_megatron, Format.LLMC: export_llmc, Format.NANOGPT: export_nanogpt,
    Format.OLMO: export_olmo, Format.DATATROVE: export_datatrove, Format.MDS: export_mds,
    Format.LITDATA: export_litdata, Format.HF: export_hf}
ZERO_COPY: Final = (Format.MEGATRON, Format.LITDATA, Format.LLMC)


def export_dataset(path: str, form: Format, out: str, zero_copy: bool = False) -> dict[str, Any]:
    """Export the dataset of a run, or of its `packed` folder, to a folder; returns what export.json says.

    zero_copy: files are hard links of the shards, which a change of either would change. The same dataset gives the
    same bytes. Raises InputError where there is no dataset or the format cannot hold it, RecipeError where it has no
    zero-copy form, OwnershipError where the folder holds something else."""
    if zero_copy and form not in ZERO_COPY:
        raise RecipeError(f"{form.value} cannot be made without a copy", where="--zero-copy",
                          hint=f"these can: {', '.join(f.value for f in ZERO_COPY)}")
    dataset = open_dataset(path)
    folder = Folder(out)
    return folder.finish(dataset, form.value, _EXPORTERS[form](dataset, folder, zero_copy))
