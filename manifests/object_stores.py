"""Files behind URLs: which fsspec file system reads them, how S3 is reached, and what its errors are called.

A recipe's `s3:` says how S3 is reached; a run's `Storage` carries it, on every worker too, and gives it to the paths
that it hands out. What the recipe leaves open follows AWS's own settings (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, roles of a
machine). No output depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, Final

from manifests.credentials import refuse_secrets
from manifests.errors import InputError

_S3: Final = ("s3://", "s3a://")
_BLOCK_BYTES: Final = 8 << 20  # per request of a reader that goes forward; the default of s3fs is 50 MiB
_LIBRARIES: Final = frozenset({"botocore", "aiobotocore", "aiohttp"})  # whose errors are not OSError


@dataclass(frozen=True, slots=True)
class S3Access:
    """How s3:// is reached. anonymous_buckets: those asked without credentials. endpoint_url, region: where it is not
    Amazon's, or AWS's settings do not say. attempts: of one request. timeout_seconds: to connect, or without a byte."""

    anonymous_buckets: tuple[str, ...] = ()
    endpoint_url: str | None = None
    region: str | None = None
    attempts: int = 10
    timeout_seconds: float = 60.0

    def options(self, bucket: str) -> dict[str, Any]:
        """Arguments of s3fs for a bucket. Listings are not kept: other processes write to the same run."""
        client = {"region_name": self.region} if self.region else {}
        requests = {"connect_timeout": self.timeout_seconds, "read_timeout": self.timeout_seconds,
                    "retries": {"total_max_attempts": self.attempts, "mode": "standard"}}
        return {"anon": bucket in self.anonymous_buckets, "endpoint_url": self.endpoint_url, "client_kwargs": client,
                "config_kwargs": requests, "use_listings_cache": False}


class StoreUrl(str):
    """A URL that knows how its store is reached. It is a string like any other; what is cut out of it is plain text."""

    access: S3Access

    def __new__(cls, url: str, access: S3Access) -> StoreUrl:
        result = super().__new__(cls, url)
        result.access = access
        return result

    def __reduce__(self) -> tuple[type[StoreUrl], tuple[str, S3Access]]:
        return StoreUrl, (str(self), self.access)


def reached(path: str, access: S3Access) -> str:
    """A path or URL with how it is reached, where that matters."""
    return StoreUrl(path, access) if path.startswith(_S3) else path


def filesystem(url: str) -> tuple[Any, str]:
    """(fsspec file system, path on it) of a URL; raises InputError where its library is not installed.

    A `StoreUrl` is reached as it says, any other URL as AWS's own settings say."""
    if not url.startswith(_S3):
        return _named(url, {})
    access = url.access if isinstance(url, StoreUrl) else S3Access()
    bucket = url.partition("://")[2].partition("/")[0]
    fs, path = _named(url, access.options(bucket))
    fs.retries = access.attempts  # of bodies that break, which botocore does not see
    return fs, path


def _named(url: str, options: dict[str, Any]) -> tuple[Any, str]:
    import fsspec  # here: paths of this machine need none of it

    refuse_secrets(url)
    try:
        fs, path = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise InputError(f"cannot be read: {error}", where=url,
                         hint="s3:// needs the extra `s3`: pip install 'curate-corpus[s3]'") from error
    except ValueError as error:
        raise InputError(f"cannot be read: {error}", where=url, hint="check the address") from error
    return fs, path


def open_remote(url: str) -> IO[bytes]:
    """A file behind a URL, for reading at any offset. Raises InputError where it cannot be opened."""
    with store_errors(url):
        fs, path = filesystem(url)
        if url.startswith(_S3):
            return fs.open(path, "rb", block_size=_BLOCK_BYTES)  # type: ignore[no-any-return]
        return fs.open(path, "rb")  # type: ignore[no-any-return]


@contextmanager
def store_errors(url: str, may_be_absent: bool = False) -> Iterator[None]:
    """Name a store's errors as InputError. may_be_absent: FileNotFoundError is passed on."""
    try:
        yield
    except FileNotFoundError as error:
        if may_be_absent:
            raise
        raise InputError(f"is not there: {error}", where=url, hint="check the address") from error
    except PermissionError as error:
        raise InputError(f"may not be read or written: {error}", where=url, hint=_CREDENTIALS) from error
    except OSError as error:
        raise InputError(f"cannot be read or written: {error}", where=url, hint="check the address") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _LIBRARIES:
            raise
        raise InputError(f"cannot be reached: {type(error).__name__}: {error}", where=url, hint=_CREDENTIALS) from error


_CREDENTIALS: Final = "give credentials (AWS_PROFILE, a role), or name a public bucket in s3.anonymous_buckets"
