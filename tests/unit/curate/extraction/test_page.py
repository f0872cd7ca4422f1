"""What is read of a page's memory was written before, whatever the memory held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curate.extraction.blocks import extract_blocks
from curate.extraction.extracted import Content, Format

HTML = [
    "<pre>one\ntwo</pre><p>three<pre><code class='language-c'>int x;</code></pre><pre>four</pre>",
    "<table><tr><td>a<td>b<tr><td>c<td>d</table><ul><li>e<li>f</ul><blockquote>g</blockquote><h2>h</h2>",
    "<title>t</title><body><nav><a href=x>n</a></nav>" + "<p>A sentence of some length, with words.</p>" * 9]


@pytest.mark.parametrize("junk", [-(1 << 40), 1 << 40])
def test_nothing_depends_on_what_the_memory_held(monkeypatch: pytest.MonkeyPatch, junk: int) -> None:
    def extracted() -> list[Any]:
        return [extract_blocks(html.encode(), Content.EVERYTHING, form) for html in HTML for form in Format]

    def filled(shape: Any, dtype: Any = float) -> Any:
        array = empty(shape, dtype)
        if array.dtype == np.int64:
            array[...] = junk
        return array

    clean, empty = extracted(), np.empty
    monkeypatch.setattr(np, "empty", filled)
    assert extracted() == clean
