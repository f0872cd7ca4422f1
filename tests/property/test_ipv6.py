"""Public IPv6 addresses in texts are those that Python's ipaddress reads, in the networks that are public."""

from __future__ import annotations

import ipaddress
import re

import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.heuristics.kernels.pii import IPV6, find_pii
from curate.text.strings import string_buffers

_APART = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))
_UNICAST = ipaddress.IPv6Network("2000::/3")
_CANDIDATE = re.compile(r"[0-9A-Za-z:.]+")


def _public(text: str) -> bool:
    """Whether a whole run of letters, digits, colons and dots is a public address; no zone, no dot at its end."""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_global
    return address in _UNICAST and not any(address in network for network in _APART)


_GROUP = st.sampled_from(["2001", "2a00", "2606", "0db8", "DB8", "0", "1", "ffff", "FE80", "3fff", "fff", "12345", "g"])
_SPELT = st.integers(0, 2**128 - 1).map(lambda n: str(ipaddress.IPv6Address(n))) | st.integers(
    0x2000 << 112, (0x4000 << 112) - 1).map(lambda n: ipaddress.IPv6Address(n).exploded)
_LOOSE = st.lists(_GROUP | st.sampled_from(["", "8.8.8.8", "10.0.0.1"]), min_size=2, max_size=9).map(":".join)


@settings(max_examples=400, deadline=None)
@given(st.lists(_SPELT | _LOOSE, min_size=1, max_size=4))
@example(["::ffff:8.8.8.8", "::", "2001:4860:4860::8888", "1::", "2a00::", ":2a00::1"])
@example(["2000::"])
def test_addresses_are_those_of_ipaddress(pieces: list[str]) -> None:
    text = " ".join(pieces)
    wanted = np.zeros(6, bool)
    wanted[IPV6] = True
    starts, ends, _, _ = find_pii(*string_buffers(pa.array([text], pa.large_string())), wanted)
    assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == [
        found for found in _CANDIDATE.findall(text) if _public(found)]
