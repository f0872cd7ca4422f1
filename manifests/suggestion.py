"""What a person may have meant by a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Collection

_LISTED = 12


def meant(name: str, known: Collection[str]) -> str:
    """`did you mean 'x'?`, or nothing where no known name is like this one."""
    lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    if not close:  # a word of a longer name, such as a stage of a group
        within = [other for other in lower if name and name.lower() in other]
        close = within if len(within) == 1 else []
    return f"did you mean {lower[close[0]]!r}?" if close else ""


def meant_or_listed(name: str, known: Collection[str], intro: str = "one of") -> str:
    """A hint: what may have been meant, and the known names, all of them where they are few or nothing is like it."""
    guess = meant(name, known)
    if guess and len(known) > _LISTED:
        return guess
    return f"{guess} {intro}: {', '.join(known) or 'none'}".strip()
