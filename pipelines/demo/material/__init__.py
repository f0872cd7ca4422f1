"""Words and sentences that the demo's pages are made of: data, in YAML files beside this module."""

from __future__ import annotations

from functools import cache
from typing import Any

from curate.text.yaml_tables import yaml_table


@cache
def material(name: str) -> Any:
    """What `<name>.yaml` holds."""
    return yaml_table(__name__, f"{name}.yaml")
