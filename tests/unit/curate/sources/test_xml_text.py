"""XML of others: what is read of it, and what is refused."""

from __future__ import annotations

import pytest

from curate.sources.xml_text import parse_document


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_entities_are_refused_in_every_encoding(encoding: str) -> None:
    declaration = f'<?xml version="1.0" encoding="{encoding[:6]}"?>' if encoding != "utf-8" else ""
    plain = f"{declaration}<a>é</a>"
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    assert parse_document(mark + plain.encode(encoding)).text == "é"
    with pytest.raises(ValueError, match="declares entities"):
        parse_document(mark + plain.replace("<a>", '<!DOCTYPE a [<!ENTITY b "c">]><a>').encode(encoding))
