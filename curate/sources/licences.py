"""Licences of software as SPDX identifiers: by the metadata of a package, and by the words of a licence file.

A repository may offer several; each file may state its own.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Final

LICENCE_FILE: Final = re.compile(r"(?:licen[cs]e|copying|unlicense)(?:[-_.].*)?", re.IGNORECASE)
"""Names of files that hold a licence."""

METADATA_FILES: Final = frozenset({"package.json", "cargo.toml", "pyproject.toml", "pkg-info"})
"""Lower-case names of files that state one."""

_PHRASES: Final = (
    ("AGPL-3.0", ("gnu affero general public license",)),
    ("LGPL-3.0", ("gnu lesser general public license", "version 3")),
    ("LGPL-2.1", ("gnu lesser general public license",)),
    ("GPL-3.0", ("gnu general public license", "version 3")),
    ("GPL-2.0", ("gnu general public license",)),
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("MPL-2.0", ("mozilla public license", "2.0")),
    ("EPL-2.0", ("eclipse public license", "v 2.0")),
    ("BSL-1.0", ("boost software license",)),
    ("CC0-1.0", ("cc0 1.0",)),
    ("Unlicense", ("free and unencumbered software released into the public domain",)),
    ("BSD-4-Clause", ("redistribution and use in source and binary forms", "all advertising materials")),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "neither the name")),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms",)),
    ("ISC", ("permission to use, copy, modify, and", "distribute this software for any purpose with or without fee")),
    ("Zlib", ("altered source versions must be plainly marked",)),
    ("MIT", ("permission is hereby granted, free of charge, to any person obtaining a copy",)),
)
"""What each licence says and no one before it; the first that fits is taken."""
_HEADER: Final = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+ ()-]+)")
_PART: Final = re.compile(r"[A-Za-z0-9.+-]+")
_JOINING: Final = frozenset({"or", "and", "with"})
_PKG_INFO: Final = re.compile(r"^(?:License-Expression|License): *(\S.{0,200})$", re.MULTILINE)
_IN_WORDS: Final = {
    "mit license": "MIT", "the mit license": "MIT", "mit licence": "MIT", "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0", "apache software license": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0", "bsd": "BSD-3-Clause", "bsd license": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause", "bsd 2-clause": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause",
    "bsd 2-clause license": "BSD-2-Clause", "isc license": "ISC", "mpl 2.0": "MPL-2.0", "gplv3": "GPL-3.0",
    "gplv2": "GPL-2.0"}
"""Names in words that packages state, in lower case."""
_SUFFIX: Final = re.compile(r"-(?:only|or-later)$")
_HEAD_CHARACTERS: Final = 2048


def licence_of_text(text: str) -> str | None:
    """The identifier of a licence's text; None where its words are of none that is known."""
    words = " ".join(text.lower().split())
    return next((name for name, phrases in _PHRASES if all(phrase in words for phrase in phrases)), None)


def licences_of_file(name: str, text: str) -> frozenset[str]:
    """What a file at the top of a repository says of its licence, if it is one that does."""
    base = PurePosixPath(name).name
    if LICENCE_FILE.fullmatch(base):
        found = licence_of_text(text)
        return frozenset({found}) if found else frozenset()
    read = _METADATA.get(base.lower())
    try:
        return identifiers(read(text)) if read else frozenset()
    except (ValueError, AttributeError, TypeError):  # no JSON, no TOML, or of another shape
        return frozenset()


def licences_in_header(text: str) -> frozenset[str]:
    """What a source file's own first lines state by SPDX's mark."""
    found = _HEADER.search(text, 0, _HEAD_CHARACTERS)
    return identifiers(found[1]) if found else frozenset()


def identifiers(expression: Any) -> frozenset[str]:
    """The licences of an SPDX expression, such as `MIT OR Apache-2.0`, without `-only` and `-or-later`; of a name in
    words, the licence that it is known to mean."""
    if not isinstance(expression, str):
        return frozenset()
    if (meant := _IN_WORDS.get(" ".join(expression.lower().replace(",", " ").split()))) is not None:
        return frozenset({meant})
    parts = (part.strip(".") for part in _PART.findall(expression))
    return frozenset(_SUFFIX.sub("", part) for part in parts if part and part.lower() not in _JOINING)


def _package_json(text: str) -> Any:
    stated = json.loads(text).get("license")
    return stated.get("type") if isinstance(stated, dict) else stated


def _toml(table: str) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        stated = tomllib.loads(text).get(table, {}).get("license")
        return stated.get("text") if isinstance(stated, dict) else stated

    return read


def _pkg_info(text: str) -> Any:
    found = _PKG_INFO.search(text)
    return found[1] if found else None


_METADATA: Final[dict[str, Callable[[str], Any]]] = {
    "package.json": _package_json, "cargo.toml": _toml("package"), "pyproject.toml": _toml("project"),
    "pkg-info": _pkg_info}
