"""Where the tests find the project and, where it lies beside the checkout, the real data that some of them use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DATA: Final = Path(os.environ.get("CURATE_SHARED_DATA", ROOT / "../shared/data"))
"""`$CURATE_SHARED_DATA`, else a folder beside the checkout; tests that need it skip where it is absent."""
