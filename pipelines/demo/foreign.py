"""Pages in other languages: short travel and town notes built from sentences written for this project.

Each language has sentences with three open places, and words to fill them that need no inflection. A page takes every
sentence once, in an order and with words of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.demo.chance import Chance
from pipelines.demo.material import material


@dataclass(frozen=True)
class Language:
    """Material for one language, as material/foreign.yaml has it."""

    code: str
    charsets: tuple[str, ...]
    joint: str
    places: tuple[str, ...]
    things: tuple[str, ...]
    people: tuple[str, ...]
    sentences: tuple[str, ...]


def _language(fields: dict[str, Any]) -> Language:
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
    return Language(**values)


LANGUAGES = tuple(map(_language, material("foreign")))


def foreign_page(chance: Chance, number: int) -> tuple[Language, str, tuple[str, ...]]:
    """(language, title, paragraphs) of the number-th foreign page; the languages take turns."""
    language = LANGUAGES[number % len(LANGUAGES)]
    sentences = sorted(language.sentences, key=lambda s: chance.below("foreign order", f"{number}/{s}", 1 << 30))
    place = chance.one("foreign place", number, language.places)
    filled = []
    for index, sentence in enumerate(sentences):
        key = f"{number}/{index}"
        filled.append(sentence.format(place=place, thing=chance.one("foreign thing", key, language.things),
                                      person=chance.one("foreign person", key, language.people)))
    paragraphs = tuple(language.joint.join(filled[i : i + 3]) for i in range(0, len(filled), 3))
    thing = chance.one("foreign thing", number, language.things)
    person = chance.one("foreign person", number, language.people)
    return language, f"{place}: {thing}, {person}", paragraphs
