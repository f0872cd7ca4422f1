"""What a terminal is shown: whatever comes from data is data there too.

A URL, a title or a file's name may hold escape sequences that repaint a terminal, codes that turn the direction of
writing, or what rich takes for markup. `protect_streams` puts a stream before stdout and stderr that writes control
characters as `\\x1b`, so that no `print` can forget it; `console` gives rich's tables and bars, which write around that
stream, the same rule. Files, and JSON as programs read it, keep the data as it is.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\U000e0000-\U000e007f"
    "\ud800-\udfff]")
"""C0 but for tabs and line ends, DEL, C1; what turns the direction of writing; line and paragraph separators,
annotations, tags; halves of surrogates, which no terminal can be sent."""

_RESET: Final = "\x1b[0m"  # what colorama, which Ray loads, writes when a process ends


def printable(text: str) -> str:
    """A text with its control characters written out, such as `\\x1b` and `\\u202e`; tabs and line ends stay."""
    return _CONTROLS.sub(_written_out, text)


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(facts: Any) -> str:
    """JSON of one line whose strings are the data's own; control characters are written as JSON's escapes, so that a
    terminal is safe and a program reads the same."""
    return _CONTROLS.sub(lambda match: json.dumps(match[0])[1:-1], json.dumps(facts, ensure_ascii=False, default=str))


class ProtectedStream:
    """A text stream in whose `write` control characters are written out; all else is the stream's own.

    Args:
        stream: Where it goes. A character that its encoding does not have is written out too, so that printing a
            result never fails.
    """

    def __init__(self, stream: TextIO) -> None:
        self.unprotected = stream
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        if text != _RESET:
            self.unprotected.write(printable(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unprotected, name)


def protect_streams() -> None:
    """Put a `ProtectedStream` before this process's stdout and stderr, once."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, ProtectedStream):
            setattr(sys, name, cast(TextIO, ProtectedStream(stream)))


def console(to_stderr: bool = False) -> Console:
    """A console of rich that shows every string as it is: no markup, no emoji codes, control characters written out.

    Styles are given by `rich.text.Text`, whose text is taken as it is: build it of `printable` strings."""
    from rich.console import Console
    from rich.text import Text

    class _Plain(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    stream = sys.stderr if to_stderr else sys.stdout
    raw = stream.unprotected if isinstance(stream, ProtectedStream) else stream
    return _Plain(file=cast(TextIO, raw), highlight=False, markup=False, emoji=False)
