"""A source kind: mailboxes, a document a message."""

from __future__ import annotations

from collections.abc import Iterator
from email import policy
from email.parser import BytesParser
from typing import IO, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

_SCHEMA = pa.schema([("id", pa.string()), ("date", pa.timestamp("s", "UTC")), ("text", pa.large_string())])
_BATCH_ROWS = 256


class Mailbox:
    """Mailboxes in the format mbox: the plain text of every message."""

    class Parameters(BaseModel):
        """quotes: whether lines that quote another message stay."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        quotes: bool = Field(False, description="Whether lines that begin with > stay.")

    def __init__(self, parameters: Parameters) -> None:
        self._quotes = parameters.quotes

    def rows(self, stream: IO[bytes]) -> Iterator[pa.RecordBatch | tuple[int, str]]:
        """Record batches of messages; a message without plain text is damage, and costs itself alone."""
        rows: list[dict[str, Any]] = []
        for offset, message in _messages(stream):
            parsed = BytesParser(policy=policy.default).parsebytes(message)
            body = parsed.get_body(("plain",))
            if body is None:
                yield offset, "a message without plain text"
                continue
            lines = str(body.get_content()).splitlines()
            rows.append({"id": parsed["Message-ID"], "date": parsed["Date"] and parsed["Date"].datetime,
                         "text": "\n".join(line for line in lines if self._quotes or not line.startswith(">"))})
            if len(rows) == _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows, _SCHEMA)
                rows = []
        if rows:
            yield pa.RecordBatch.from_pylist(rows, _SCHEMA)


def _messages(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of each message: one begins at a line `From ` after an empty line. Raises ValueError where the
    file does not begin with one."""
    start = offset = 0
    lines: list[bytes] = []
    after_empty = True
    for line in stream:
        if line.startswith(b"From ") and after_empty:
            if lines:
                yield start, b"".join(lines)
            start, lines = offset, []
        elif offset == 0:
            raise ValueError("does not begin with a line `From `")
        else:
            lines.append(line)
        after_empty = line in (b"\n", b"\r\n")
        offset += len(line)
    if lines:
        yield start, b"".join(lines)
