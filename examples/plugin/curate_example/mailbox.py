"""A source kind: mailboxes, a document a message."""

from __future__ import annotations

from collections.abc import Iterator
from email import policy
from email.parser import BytesParser
from typing import IO

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

_SCHEMA = pa.schema([("id", pa.string()), ("text", pa.large_string())])
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
        ids: list[str | None] = []
        texts: list[str] = []
        for offset, message in _messages(stream):
            parsed = BytesParser(policy=policy.default).parsebytes(message)
            body = parsed.get_body(("plain",))
            if body is None:
                yield offset, "a message without plain text"
                continue
            lines = str(body.get_content()).splitlines()
            texts.append("\n".join(line for line in lines if self._quotes or not line.startswith(">")))
            ids.append(parsed["Message-ID"])
            if len(texts) == _BATCH_ROWS:
                yield pa.record_batch([pa.array(ids, pa.string()), pa.array(texts, pa.large_string())], schema=_SCHEMA)
                ids, texts = [], []
        if texts:
            yield pa.record_batch([pa.array(ids, pa.string()), pa.array(texts, pa.large_string())], schema=_SCHEMA)


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
