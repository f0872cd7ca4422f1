"""Beginnings of pages and the encoding that html5lib's prescan finds in them: golden for `curate.charsets.declared`.

    pip install html5lib==1.1
    python -m scripts.encodings.prescan

Of what is cut off, of `<!-->`, of `<meta/`, of an attribute that comes twice or has no value, and of "charset" that
comes twice in a content or ends with a semicolon, html5lib makes something else than the standard says today; none of
it is here.
"""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path
from typing import Final

from html5lib._inputstream import EncodingParser

_TARGET: Final = Path(__file__).parents[2] / "tests/unit/curate/charsets/prescan.json.xz"
_N: Final = 1500
_LABELS: Final = ("utf-8", "UTF8", "windows-1251", " koi8-r ", "Shift_JIS", "utf-16", "x-user-defined", "no-such", "",
                  "l2")


def main() -> None:
    """Write the golden file."""
    chance = random.Random(20)
    cases: list[list[str | None]] = []
    while len(cases) < _N:
        head = "".join(_construct(chance) for _ in range(chance.randrange(1, 9)))
        found = EncodingParser(head.encode("latin-1")).getEncoding()
        cases.append([head, None if found is None else found.name])
    _TARGET.write_bytes(lzma.compress(json.dumps(cases).encode(), preset=9))


def _construct(chance: random.Random) -> str:
    label = chance.choice(_LABELS)
    return chance.choice((
        lambda: _meta(chance, label), lambda: _meta(chance, label), lambda: _meta(chance, label),
        lambda: f"<!-- {_meta(chance, label)} -->", lambda: f"<!-- - -- > {_meta(chance, label)}-->",
        lambda: "<!DOCTYPE html>", lambda: "<?php meta charset=koi8-r ?>", lambda: f"</p charset='{label}'>",
        lambda: f'<p title="<meta charset={label}>" charset={label}>', lambda: f"<metadata charset={label}>",
        lambda: f"<script>{_meta(chance, label)}</script>", lambda: f"<title>{_meta(chance, label)}</title>",
        lambda: " 1 < 2 ", lambda: "<>", lambda: "< meta charset=gbk>", lambda: f"<a/meta charset='{label}'>"))()


def _meta(chance: random.Random, label: str) -> str:
    quote = chance.choice(("", '"', "'"))
    if not label.strip() or " " in label:
        quote = quote or '"'
    equals = chance.choice(("=", " = ", "=\n", "\t="))
    content = chance.choice((f"text/html; charset={label}", f"text/html;charset = '{label}'",
                             f"text/html; charset={label} ; x", f"a page with charset={label}", "text/html", "charset"))
    attributes = [
        f"{chance.choice(('charset', 'CharSet'))}{equals}{quote}{label}{quote}",
        f"data-charset={quote}{label}{quote}", f'content{equals}"{content}"',
        chance.choice(("http-equiv=Content-Type", 'http-equiv="content-type"', "http-equiv=refresh")),
        "name=description", "/", "a=b/"]
    chosen = chance.sample(attributes, chance.randrange(1, 5))
    opening, space = chance.choice(("<meta", "<META")), chance.choice((" ", "\n", " / "))
    return f"{opening}{space}{' '.join(chosen)} >"


if __name__ == "__main__":
    main()
