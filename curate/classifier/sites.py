"""What a site is, for folds: the registered domain of a host by the public suffix list, or the host itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

_ADDRESS: Final = re.compile(r"[0-9.]+|.*[:\[\]].*")


@lru_cache(maxsize=1)
def _suffixes() -> Any:
    """The list that the library's release carries: nothing is fetched."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def registered_domain(host: str) -> str:
    """The part of a host that somebody registered: `example.co.uk` of `news.example.co.uk`, and `anna.github.io` of
    itself, since the list's private section holds platforms on which each name is another's.

    A host that is a suffix itself, or an address, stays as it is; of an unknown top-level domain, two labels stay."""
    if _ADDRESS.fullmatch(host):
        return host
    return _suffixes().privatesuffix(host.strip(".").lower()) or host


def registered_domains(hosts: Iterable[str]) -> list[str]:
    """`registered_domain` of each host, which should be distinct: a look-up takes microseconds, and texts are many."""
    return [registered_domain(host) for host in hosts]
