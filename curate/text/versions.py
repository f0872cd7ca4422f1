"""Versions of the tables that texts are read by; stages that read them name these in their records."""

from __future__ import annotations

from typing import Final

UNICODE_VERSION: Final = "15.1.0"
"""Of `unicode.tsv` and `unicode_mappings.tsv`, which scripts/unicode_tables.py writes."""
