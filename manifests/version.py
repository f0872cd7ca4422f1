"""The version of the project: what the distribution, runs and messages say."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.2.0.dev0"
DISTRIBUTION: Final = "curate-corpus"
"""What `pip install` calls the project."""
