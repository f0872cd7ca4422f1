"""Removal from where files cannot be replaced together."""

from __future__ import annotations

import pytest

from manifests.errors import InputError
from pipelines.removal import remove


def test_a_run_in_a_bucket_is_not_changed() -> None:
    """Many objects cannot be replaced as one, and that is said before anything is read."""
    with pytest.raises(InputError, match="many files cannot be replaced as one"):
        remove("memory://run", ["https://a.example/"], [])
