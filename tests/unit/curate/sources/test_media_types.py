"""What Content-Type fields say together, after the Fetch standard's rule."""

from __future__ import annotations

import pytest

from curate.sources.media_types import media_type


@pytest.mark.parametrize(("values", "kind", "charset"), [
    (["text/html"], "text/html", None),
    (["Text/HTML; Charset=\"Shift_JIS\""], "text/html", "Shift_JIS"),
    (["text/html;charset='koi8-r'"], "text/html", "koi8-r"),
    (["text/html; q=1; charset = utf-8 ; x=2"], "text/html", "utf-8"),
    (["text/html, text/html"], "text/html", None),
    (["text/html; charset=gbk", "text/html"], "text/html", "gbk"),
    (["text/html; charset=gbk, text/html; charset=big5"], "text/html", "big5"),
    (["text/plain; charset=gbk, text/html"], "text/html", None),
    (["text/html, charset=utf-8"], "text/html", None),
    (["text/html, */*"], "text/html", None),
    (['text/html; a="b, text/plain"; charset=gbk'], "text/html", "gbk"),
    (['text/html; a="b, text/plain'], "text/html", None),
    (["text/html Content-Length: 12"], "text/html", None),
    (['"text/html"'], None, None),
    (["text//html"], None, None),
    (["text/"], None, None),
    ([""], None, None),
    ([], None, None),
])
def test_values_count_as_the_fetch_standard_says(values: list[str], kind: str | None, charset: str | None) -> None:
    assert media_type(values) == (kind, charset)


def test_a_hostile_value_takes_no_time() -> None:
    assert media_type([",\"" * 1_000_000]) == (None, None)
    assert media_type(["text/html;" + "charset" * 1_000_000]) == ("text/html", None)
