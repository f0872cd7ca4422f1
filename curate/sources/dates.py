"""The days that a source or its links are taken of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

_MILLISECONDS: Final = pa.timestamp("ms", "UTC")


class Days(BaseModel):
    """From which day to which, both included, in UTC."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: date | None = Field(None, description="First day that is taken, such as 2014-01-01; none has no limit.")
    until: date | None = Field(None, description="Last day that is taken.")
    undated: Literal["keep", "drop"] = Field("keep", description=(
        "What becomes of what has no date, where there is a limit; it is counted either way."))

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ValueError(f"since: {self.since} is after until, {self.until}")
        return self

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.since is not None or self.until is not None

    def first(self) -> datetime | None:
        """The first moment that is taken."""
        return None if self.since is None else _midnight(self.since)

    def end(self) -> datetime | None:
        """The first moment that is no longer taken."""
        return None if self.until is None else _midnight(self.until + timedelta(days=1))

    def facts(self) -> dict[str, Any]:
        """What an output depends on; nothing where there is no limit."""
        return self.model_dump(mode="json") if self.limited else {}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def moment(value: datetime) -> pa.Scalar:
    """A moment as dates of documents are compared with it."""
    return pa.scalar(value, _MILLISECONDS)
