"""The programming language of a file: by its name, and by its content where several languages share an ending or there
is none. `programming.tsv` holds endings and names."""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

_SHEBANG: Final = re.compile(r"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+)*)?([A-Za-z]+)[0-9.]*")
_INTERPRETERS: Final = {
    "python": "Python", "pypy": "Python", "perl": "Perl", "ruby": "Ruby", "node": "JavaScript", "nodejs": "JavaScript",
    "deno": "TypeScript", "php": "PHP", "lua": "Lua", "luajit": "Lua", "rscript": "R", "tclsh": "Tcl", "wish": "Tcl",
    "sh": "Shell", "bash": "Shell", "dash": "Shell", "zsh": "Shell", "ksh": "Shell", "fish": "Shell", "awk": "AWK",
    "gawk": "AWK", "make": "Makefile", "julia": "Julia", "groovy": "Groovy", "escript": "Erlang", "racket": "Racket",
    "pwsh": "PowerShell", "crystal": "Crystal", "elixir": "Elixir", "guile": "Scheme", "swift": "Swift"}
_SHARED: Final[dict[str, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    ".h": (("Objective-C", re.compile(r"^\s*@(?:interface|protocol|property|end)\b", re.MULTILINE)),
           ("C++", re.compile(r"^\s*(?:template\s*<|class\s+\w+|namespace\s+\w*|using\s+\w|public:|private:|"
                              r"#include\s*<(?:string|vector|map|memory|iostream|cstdint|utility)>)", re.MULTILINE))),
    ".m": (("Objective-C", re.compile(r"^\s*(?:@(?:interface|implementation|protocol|end)\b|#import\b)",
                                      re.MULTILINE)),
           ("Mathematica", re.compile(r"^\s*(?:\(\*|BeginPackage\[)", re.MULTILINE))),
    ".pl": (("Prolog", re.compile(r"^\s*(?::-|[a-z]\w*\(.*\)\s*:-)", re.MULTILINE)),),
    ".v": (("Coq", re.compile(r"^\s*(?:Require\s+Import|Lemma|Theorem|Proof\.|Inductive|Fixpoint)\b", re.MULTILINE)),),
    ".ts": (("XML", re.compile(r"\A\s*<\?xml|\A\s*<!DOCTYPE TS>")),),
    ".d": (("Makefile", re.compile(r"\A[^\n:=]+\.o\s*:")),),
    ".t": (("Perl", re.compile(r"^\s*use\s+(?:strict|warnings|Test)", re.MULTILINE)),
           ("Terra", re.compile(r"^\s*terra\s+\w", re.MULTILINE))),
    ".cls": (("Apex", re.compile(r"^\s*(?:public|private|global)\s.*\bclass\b", re.MULTILINE | re.IGNORECASE)),
             ("TeX", re.compile(r"\\(?:ProvidesClass|LoadClass|NeedsTeXFormat)"))),
}
"""Endings that several languages have: what shows which, asked in order; else the language of the table."""
_HEAD_CHARACTERS: Final = 1 << 14


def language_of(path: str, text: str) -> str | None:
    """The language of a file, by the names that The Stack has for languages; None where nothing tells.

    Args:
        path: Its name, with or without folders.
        text: Its content, of which the first 16 Ki characters are looked at.
    """
    name = PurePosixPath(path).name
    endings, names = _table()
    if name in names:
        return names[name]
    suffix = PurePosixPath(name.lower()).suffix
    head = text[:_HEAD_CHARACTERS]
    for language, shows in _SHARED.get(suffix, ()):
        if shows.search(head):
            return language
    if suffix in endings:
        return endings[suffix]
    found = _SHEBANG.match(head)
    return _INTERPRETERS.get(found[1].lower()) if found and (not suffix or suffix == ".in") else None


@functools.cache
def _table() -> tuple[dict[str, str], dict[str, str]]:
    """(language by ending, language by whole name)."""
    endings: dict[str, str] = {}
    names: dict[str, str] = {}
    for line in files("curate.sources").joinpath("programming.tsv").read_text(encoding="utf-8").splitlines():
        language, _, entries = line.partition("\t")
        for entry in entries.split():
            (endings if entry.startswith(".") else names)[entry] = language
    return endings, names
