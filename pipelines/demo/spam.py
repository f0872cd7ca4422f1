"""Pages that a quality filter should not like: keyword stuffing, shop listings, link farms and pages that are all
boilerplate. All are written here, from word lists."""

from __future__ import annotations

from pipelines.demo.chance import Chance
from pipelines.demo.material import material

_KEYWORDS, _PRODUCTS, _ADJECTIVES, _SHOP, _BOILERPLATE = material("words")["spam"].values()

KINDS = ("keywords", "shop", "links", "boilerplate")


def spam_page(chance: Chance, number: int) -> tuple[str, str, tuple[str, ...]]:
    """(kind, title, paragraphs) of the number-th bad page; the kinds take turns."""
    kind = KINDS[number % len(KINDS)]
    builder = {"keywords": _keywords, "shop": _shop, "links": _links, "boilerplate": _boilerplate}[kind]
    title, paragraphs = builder(chance, number)
    return kind, title, tuple(paragraphs)


def _keywords(chance: Chance, number: int) -> tuple[str, list[str]]:
    own = [chance.one("keyword", f"{number}/{i}", _KEYWORDS) for i in range(8)]
    lines = []
    for line in range(6 + chance.below("stuffing", number, 8)):
        picked = [chance.one("stuff", f"{number}/{line}/{i}", own) for i in range(24)]
        lines.append(" ".join(picked) + f" {chance.one('stuffed', f'{number}/{line}', _KEYWORDS)}")
    return " ".join(own[:4]).title(), lines


def _shop(chance: Chance, number: int) -> tuple[str, list[str]]:
    lines = []
    for line in range(8 + chance.below("shop", number, 10)):
        key = f"{number}/{line}"
        lines.append(chance.one("sentence", key, _SHOP).format(
            adjective=chance.one("adjective", key, _ADJECTIVES), product=chance.one("product", key, _PRODUCTS),
            other=chance.one("other", key, _PRODUCTS), n=2 + chance.below("n", key, 90), m=chance.below("m", key, 6)))
    product = chance.one("product", f"{number}/0", _PRODUCTS)
    return f"{chance.one('adjective', number, _ADJECTIVES)} {product} deals".title(), lines


def _links(chance: Chance, number: int) -> tuple[str, list[str]]:
    rows = [f"Visit {chance.one('farm', f'{number}/{i}', _KEYWORDS)}-{chance.one('land', f'{number}/{i}', _KEYWORDS)}"
            f"-{chance.below('link', f'{number}/{i}', 1000)} for more" for i in range(40)]
    return f"Directory page {number}", rows


def _boilerplate(chance: Chance, number: int) -> tuple[str, list[str]]:
    return f"Welcome to site {number}", chance.shuffled(f"boilerplate {number}", _BOILERPLATE)[:6]
