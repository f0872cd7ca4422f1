"""Markdown of small pages, all of whose blocks are kept, and of one that is extracted."""

from __future__ import annotations

import numpy as np
import pytest

from curate.extraction.blocks import extract_blocks
from curate.extraction.extracted import PAGE_TYPES, Content, Format
from curate.extraction.markdown import write_markdown
from curate.extraction.scan import scan
from tests.unit.curate.extraction.test_html import BODY, CODE, PAGE


def markdown(html: str, room: int = 100_000) -> str:
    """Every block, as it is written."""
    page, n = scan(html.encode())
    out = np.empty(room, np.uint8)
    return out[: write_markdown(page, np.ones(n, np.bool_), out)].tobytes().decode()


@pytest.mark.parametrize(("html", "text"), [
    ("", ""),
    ("<h1>One<br>two</h1>after<h3>Three</h3>", "# One two\n\nafter\n\n### Three"),
    ("<p>A <b>bold</b> <a href=x>link</a>.<p>B", "A bold link.\n\nB"),
    ("<ul><li>a<ol><li>b<li>c</ol><li><p>d<p>e</ul>", "- a\n  1. b\n  2. c\n\n- d\n\n  e"),
    ("<blockquote><p>a<p>b<blockquote>c</blockquote></blockquote>d", "> a\n>\n> b\n>\n> > c\n\nd"),
    ("<pre>a\n  b\n\n\n\n    c\n</pre>d", "```\na\n  b\n\n\n\n    c\n```\n\nd"),
    ("<pre><code class='hljs language-python'>x</code></pre>", "```python\nx\n```"),
    ("<div class='highlight-source-c++'><pre>x</pre></div>", "```c++\nx\n```"),
    ("<pre class='brush: js; ruler'>x</pre><pre data-lang=go>y</pre>", "```js\nx\n```\n\n```go\ny\n```"),
    ("<pre>``` `</pre>", "````\n``` `\n````"),
    ("<blockquote><pre>a\nb</pre></blockquote>", "> ```\n> a\n> b\n> ```"),
    ("<ul><li>a<pre>b\n c</pre></ul>", "- a\n\n  ```\n  b\n   c\n  ```"),
    ("<table><caption>T</caption><tr><th>A<th>B|C<tr><td>1<td>2<br>x<tr><td><td>3</table>z",
     "T\n\n| A | B\\|C |\n| --- | --- |\n| 1 | 2 x |\n| | 3 |\n\nz"),
    ("<table><tr><td>a<td>b<td>c<tr><td>d<tr><td>e<td>f</table>",
     "| a | b | c |\n| --- | --- | --- |\n| d | | |\n| e | f | |"),
    ("<table><tr><td><p>main</p><td>side</table>", "main\n\nside"),
    ("<table><tr><td>a<td><table><tr><td>1<td>2<tr><td>3<td>4</table><tr><td>b<td>c</table>",
     "a\n\n| 1 | 2 |\n| --- | --- |\n| 3 | 4 |\n\nb\tc"),
])
def test_structure(html: str, text: str) -> None:
    assert markdown(html) == text


@pytest.mark.parametrize(("html", "text"), [
    ("a <math alttext='x &lt; 1'><mi>x</mi></math> b", "a $x < 1$ b"),
    ("<math display='block'><semantics><mi>y</mi><annotation encoding='application/x-tex'>{\\displaystyle y^2}"
     "</annotation></semantics></math>", "$$y^2$$"),
    ("<span class='katex'><span class='katex-mathml'><math><semantics><mi>c</mi><annotation "
     "encoding='application/x-tex'>c</annotation></semantics></math></span><span class='katex-html' aria-hidden='true'>"
     "<span>drawn</span></span></span> after", "$c$ after"),
    ("<span class='katex-html'>drawn</span>", "drawn"),
    ("<script type='math/tex'>a&b</script> and <script type='math/tex; mode=display'>c</script>", "$a&b$ and $$c$$"),
    ("<img class=latex alt='\\pi'> <img class=photo alt='a cat'>", "$\\pi$"),
    ("<math><mi>q</mi></math>r", "qr"),
    ("<math alttext='never closed'><mi>s", "s"),
    ("<noscript><math alttext='ä'></math></noscript><template><script type='math/tex'>z</script></template>",
     "$ä$\n$z$"),
])
def test_formulas_are_tex(html: str, text: str) -> None:
    assert markdown(html) == text


def test_many_formulas_cost_what_they_are_long() -> None:
    """Each looks ahead for its end; without one, or one in the other, the page is still read once."""
    assert markdown("<math>" * 60_000) == ""
    assert markdown("<math>" * 60_000 + "x</math>") == "x"


def test_what_does_not_fit_is_counted_and_not_written() -> None:
    html = "<blockquote><pre>a\nb</pre></blockquote>"
    page, n = scan(html.encode())
    out = np.zeros(5, np.uint8)
    assert write_markdown(page, np.ones(n, np.bool_), out) == len(markdown(html).encode())
    assert out.tobytes() == b"> ```"


def test_a_page_is_extracted_in_either_form_from_one_choice() -> None:
    found = {form: extract_blocks(PAGE.encode(), Content.AUTO, form) for form in Format}
    written, plain = found[Format.MARKDOWN].text, found[Format.TEXT].text
    assert f"```\n{CODE}\n```" in written
    assert CODE in plain
    assert BODY[0] in written
    assert "Sport" not in written
    assert found[Format.TEXT].page_type in PAGE_TYPES
    assert found[Format.TEXT][1:] == found[Format.MARKDOWN][1:]
