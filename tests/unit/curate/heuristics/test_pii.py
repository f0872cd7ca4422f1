"""Personal data found and taken out: what counts, what does not, and what is left of the text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curate.heuristics.kernels.pii import find_pii
from curate.heuristics.pii import pii_spans
from curate.heuristics.pii_config import PiiConfig
from curate.text.strings import string_buffers

KINDS = ("email", "ip", "phone", "iban", "card", "ipv6")


def found(text: str) -> list[tuple[str, str]]:
    data, offsets = string_buffers(pa.array([text], pa.large_string()))
    starts, ends, kinds, _ = find_pii(data, offsets, np.ones(6, bool))
    raw = text.encode()
    return [(KINDS[k], raw[a:b].decode()) for a, b, k in zip(starts, ends, kinds, strict=True)]


@pytest.mark.parametrize(("text", "expected"), [
    ("write to jo.smith+x@mail.example.co.uk, or", [("email", "jo.smith+x@mail.example.co.uk")]),
    ("ü <a@b.org>. no: @handle a@b a@b.c x@.com a.@b.com", [("email", "a@b.org")]),
    ("8.8.8.8 and 172.15.0.1; not 10.0.0.1, 192.168.1.1, 1.2.3.4.5, 256.1.1.1, 08.8.8.8 or 127.0.0.1",
     [("ip", "8.8.8.8"), ("ip", "172.15.0.1")]),
    ("+44 20 7946 0958 or +1 (212) 555-0100.", [("phone", "+44 20 7946 0958"), ("phone", "+1 (212) 555-0100")]),
    ("(212) 555-0100, 212-555-0100, 1-212-555-0100, not 2012-2013 or 212 555 0100 or 112-555-0100 or +12",
     [("phone", "(212) 555-0100"), ("phone", "212-555-0100"), ("phone", "1-212-555-0100")]),
    ("GB82 WEST 1234 5698 7654 32 and DE89370400440532013000, not GB82 WEST 1234 5698 7654 33",
     [("iban", "GB82 WEST 1234 5698 7654 32"), ("iban", "DE89370400440532013000")]),
    ("4111 1111 1111 1111, 378282246310005, not 4111 1111 1111 1112 or 1234567812345670",
     [("card", "4111 1111 1111 1111"), ("card", "378282246310005")]),
    ("2001:4860:4860::8888, [2A00:1450:4001:80b::200e]:443 and 2606:4700::6810:85e5/64.",
     [("ipv6", "2001:4860:4860::8888"), ("ipv6", "2A00:1450:4001:80b::200e"), ("ipv6", "2606:4700::6810:85e5")]),
    ("::ffff:8.8.8.8 2a03:2880:f10c:83:face:b00c:0:25de", [("ipv6", "::ffff:8.8.8.8"),
                                                           ("ipv6", "2a03:2880:f10c:83:face:b00c:0:25de")]),
    ("not 2001:db8::1, fe80::1%eth0, ::1, fd00::8, 2001::1, ::ffff:10.0.0.1, 12:30:45, std::abc, a::b, "
     "2606:4700::1::2, 2606:47000::1, x2606:4700::1, 2606:4700:1:2:3:4:5:6:7, 00:1a:2b:3c:4d:5e or 2606:4700:1", []),
    ("", []),
])
def test_what_counts(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text) == expected


def test_replaced_cut_and_counted() -> None:
    texts = pa.array(["mail a@b.org or c@d.net", "call +44 20 7946 0958", "nothing", None, "a@b.org"],
                     pa.large_string())
    edits, counts = pii_spans(PiiConfig(email="replace", phone="cut", email_text="X"), texts)
    assert edits.texts(texts).to_pylist() == ["mail X or X", "call ", "nothing", "", "X"]
    assert counts.tolist() == [[2, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0] * 6, [0] * 6, [1, 0, 0, 0, 0, 0]]
    edits, counts = pii_spans(PiiConfig(email="drop"), texts)
    assert edits.texts(texts).to_pylist()[0] == texts[0].as_py()
    assert counts[0, 0] == 2
    edits, counts = pii_spans(PiiConfig(email="keep"), texts)
    assert counts.sum() == 0
