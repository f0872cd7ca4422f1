"""Writing a report beside a run's outputs: `report/index.html` and `report/report.json`."""

from __future__ import annotations

import json
import os
from typing import Final

from manifests.stage_files import StageFiles
from pipelines.report.gather import gather
from pipelines.report.page import page

PAGE: Final = "report/index.html"
NUMBERS: Final = "report/report.json"


def write_report(files: StageFiles) -> tuple[str, int]:
    """Make the report of a run, in place of an older one.

    Args:
        files: The run's.
    Returns:
        Where the page is, and its size in bytes.
    """
    root = files.storage.root.rstrip("/")
    facts = gather(files, os.path.basename(root) or root)
    html = page(facts).encode("utf-8", "backslashreplace")
    numbers = json.dumps(facts, ensure_ascii=True, indent=1, default=str).encode()
    files.storage.write_bytes(NUMBERS, numbers)
    files.storage.write_bytes(PAGE, html)
    return files.storage.path(PAGE), len(html)
