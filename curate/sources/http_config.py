"""How files are fetched over HTTP (`http`)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from manifests.version import VERSION


class HttpConfig(BaseModel):
    """How files are fetched over HTTP. No output depends on it, so changing it repeats no task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_connections: int = Field(4, ge=1, le=4096, description=(
        "Archives read over HTTP at a time in the whole run, each over one connection."))
    requests_per_second: float = Field(5.0, gt=0, le=1000, description="Requests a second of one connection, at most.")
    timeout_seconds: float = Field(30.0, gt=0, le=3600, description=(
        "Seconds to connect, or without a byte, after which a connection is given up."))
    min_bytes_per_second: int = Field(1024, ge=0, description=(
        "Bytes a second, over timeout_seconds, below which a connection is given up."))
    attempts: int = Field(10, ge=1, le=1000, description=(
        "Failures in a row, with less than 1 MiB received in between, after which a file is given up."))
    backoff_seconds: float = Field(1.0, ge=0, le=3600, description=(
        "Pause after a first failure; it doubles with each further one, and half of it is left to chance."))
    max_backoff_seconds: float = Field(120.0, ge=0, le=86400, description="Longest pause, Retry-After included.")
    redirect_hosts: tuple[str, ...] = Field((), description=(
        "Hosts to which a server may send on its readers, beside public ones and its own: such as a cache in a private "
        "network."))
    contact: str | None = Field(None, pattern=r"^[\x20-\x7e]{1,200}$", description=(
        "An address or URL sent in User-Agent, so that those who run the server can reach you."))

    @property
    def user_agent(self) -> str:
        """What identifies the client: the program, its purpose, and whom to ask."""
        contact = f"; {self.contact}" if self.contact else ""
        return f"curate/{VERSION} (web archives to training data{contact})"
