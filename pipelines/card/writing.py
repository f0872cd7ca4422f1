"""Writing the papers of a dataset into `RUN/card/`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from manifests.stage_files import StageFiles
from pipelines.card.croissant import croissant
from pipelines.card.facts import gather, parquet_patterns
from pipelines.card.papers import OPEN, dataset_card, datasheet, training_summary

FOLDER: Final = "card"


def write_card(files: StageFiles, about: Mapping[str, str], eu: bool = False) -> list[str]:
    """Write the papers of a run's clean corpus.

    Args:
        files: The run's.
        about: Of `name`, `description`, `licence`, `url`, `version` and `creator`, those that are known.
        eu: Whether the European Union's summary is written too.
    Returns:
        Their names, relative to the run.
    Raises:
        InputError: The run has no clean corpus yet.
    """
    facts = gather(files)
    named = {"name": facts["name"], "description": OPEN.format("what the dataset is, in a sentence or two"),
             "licence": "other", "url": f"https://huggingface.co/datasets/OWNER/{facts['name']}", "version": "1.0.0",
             "creator": OPEN.format("who made it")} | {k: v for k, v in about.items() if v}
    patterns = parquet_patterns(files)
    papers = {"README.md": dataset_card(facts, named, patterns), "datasheet.md": datasheet(facts, named),
              "croissant.json": json.dumps(croissant(facts, named, patterns), indent=2, ensure_ascii=False) + "\n"}
    if eu:
        papers["training-content.md"] = training_summary(facts, named)
        papers["domains.csv"] = _domains_csv(facts["domains"])
    for name, text in papers.items():
        files.storage.write_bytes(f"{FOLDER}/{name}", text.encode("utf-8", "backslashreplace"))
    return [f"{FOLDER}/{name}" for name in papers]


def _domains_csv(domains: Sequence[Mapping[str, Any]]) -> str:
    """Every domain with its documents and bytes, most bytes first."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("domain", "documents", "bytes"))
    writer.writerows((domain["domain"], domain["documents"], domain["bytes"]) for domain in domains)
    return out.getvalue()
