"""Tables of words and names that lie beside the modules that use them, as YAML."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Final

import yaml

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's parser where PyYAML was built with it: these are read whenever a process starts, and it takes a tenth."""


def yaml_table(package: str, name: str) -> Any:
    """What a YAML file of this project holds.

    Args:
        package: The package that the file lies in, or below.
        name: Its path from there.
    """
    return yaml.load(files(package).joinpath(name).read_bytes(), _LOADER)  # nosec B506 # both are safe loaders
