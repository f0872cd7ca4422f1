"""How s3:// is reached: the recipe's part of `manifests.object_stores`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from manifests.object_stores import S3Access

Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,62}$")]


class S3Config(BaseModel):
    """How s3:// is reached, by sources and by the run's own folder. No output depends on it.

    What is left out is AWS's to say: environment variables, profiles, roles of a machine. Needs the extra `s3`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    anonymous_buckets: tuple[Bucket, ...] = Field((), description=(
        "Public buckets that are asked without credentials, such as a mirror of a crawl."))
    endpoint_url: str | None = Field(None, pattern=r"^https?://", description=(
        "Address of a store that speaks S3 but is not Amazon's: MinIO, Ceph, R2 and the like."))
    region: str | None = Field(None, pattern=r"^[a-z0-9-]+$", description="Region of the buckets, such as us-east-1.")
    attempts: int = Field(10, ge=1, le=100, description=(
        "Times a request is sent before the file is given up; each pause is longer than the one before."))
    timeout_seconds: float = Field(60.0, gt=0, le=3600, description=(
        "Seconds to connect, or without a byte, after which a request is sent again."))

    def access(self) -> S3Access:
        """The same for those who open files."""
        return S3Access(**self.model_dump())
