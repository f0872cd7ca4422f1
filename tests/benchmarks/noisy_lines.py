"""Language identification on lines as pages have them: menus, fragments, figures, names, code. Part of
`make bench-language`."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from curate.language.codes import is_no_language, language_code
from curate.language.identify import identify

SURE = 0.65  # the least score of a recipe's default
# What the model calls by another name or does not tell apart: Norwegian, and the Serbo-Croatian languages.
SAME = {"nb": "no", "nn": "no", "bs": "sh", "hr": "sh", "sr": "sh"}
UNSPACED = ("zh", "ja", "th", "km", "lo", "my")


def noisy(text: str, kind: str, chance: random.Random) -> str:
    """A sentence made into a line of some kind."""
    words = text.split()
    figures = [f"{chance.randrange(1, 100)}.{chance.randrange(100):02}", f"2024-0{chance.randrange(1, 10)}-12", "08:30"]
    makers: dict[str, Callable[[], str]] = {
        "the sentence": lambda: text,
        "its first four words": lambda: " ".join(words[:4]),
        "a menu of eight of its words": lambda: " | ".join(word.strip(".,;:!?").title() for word in words[:8]),
        "in capitals": lambda: text.upper(),
        "a figure after every second word": lambda: " ".join(
            word if i % 2 else f"{word} {chance.choice(figures)}" for i, word in enumerate(words)),
        "before an address and an e-mail": lambda: f"{text} https://www.example.com/shop/index.html info@example.com",
        "in markup": lambda: f'<li class="nav-item"><a href="/index.php?id=12" title="">{text}</a></li>'}
    return makers[kind]()


KINDS = ("the sentence", "its first four words", "a menu of eight of its words", "in capitals",
         "a figure after every second word", "before an address and an e-mail", "in markup")


def figures(chance: random.Random) -> str:
    return "  ".join(f"{chance.randrange(1000)}.{chance.randrange(99):02} (+{chance.randrange(9)} %)" for _ in range(9))


def hashes(chance: random.Random) -> str:
    return " ".join(f"{chance.getrandbits(128):032x}" for _ in range(6))


def names_of(rows: list[tuple[str, str]]) -> Callable[[random.Random], str]:
    """Lists of capitalised words inside sentences, of all languages."""
    names = [name for _, text in rows for name in re.findall(r"(?<=[a-z,] )[A-Z][a-z]{2,}\b", text)]
    return lambda chance: ", ".join(chance.sample(names, 8))


def code(chance: random.Random) -> str:
    """Ten lines of this project's own source, without its docstrings and comments."""
    files = sorted(Path("curate").rglob("*.py"))
    while True:
        source = re.sub(r'""".*?"""|#[^\n]*', "", chance.choice(files).read_text(encoding="utf-8"), flags=re.DOTALL)
        lines = [line for line in source.splitlines() if line.strip() and not line.startswith(("from", "import"))]
        if len(lines) > 20:
            start = chance.randrange(len(lines) - 10)
            return "\n".join(lines[start : start + 10])


def answers(texts: list[str], model: str | None) -> list[tuple[str, float]]:
    found = identify(pa.array(texts, pa.large_string()), model)
    return [("zxx" if label is None or is_no_language(label) else language_code(label), score or 0.0)
            for label, score in zip(found.labels.to_pylist(), found.scores.to_pylist(), strict=True)]


def tables(rows: list[tuple[str, str]], model: str | None) -> list[str]:
    """Two tables in Markdown: lines of a known language, and lines of none."""
    spaced = [(code, text) for code, text in rows if code not in UNSPACED and len(text.split()) >= 4]
    lines = ["| line | right | right and sure | wrong and sure | no language |", "|---|---|---|---|---|"]
    for kind in KINDS:
        chance = random.Random(1)
        found = answers([noisy(text, kind, chance) for _, text in spaced], model)
        pairs = [(SAME.get(c, c), SAME.get(label, label), score) for (c, _), (label, score) in
                 zip(spaced, found, strict=True)]
        n = len(pairs)
        shares = (sum(a == b for a, b, _ in pairs), sum(a == b and s >= SURE for a, b, s in pairs),
                  sum(a != b and b != "zxx" and s >= SURE for a, b, s in pairs), sum(b == "zxx" for _, b, _ in pairs))
        lines.append(f"| {kind} | " + " | ".join(f"{share / n:.1%}" for share in shares) + " |")
    lines += ["", f"| {500} lines in no language | no language | in none surely | English surely | another surely |",
              "|---|---|---|---|---|"]
    makers = {"figures": figures, "hashes": hashes, "names of people and places": names_of(rows), "source code": code}
    for name, make in makers.items():
        chance = random.Random(2)
        found = answers([make(chance) for _ in range(500)], model)
        none = sum(label == "zxx" for label, _ in found)
        english = sum(label == "en" and score >= SURE for label, score in found)
        other = sum(label not in ("en", "zxx") and score >= SURE for label, score in found)
        shares = (none, len(found) - none - english - other, english, other)
        lines.append(f"| {name} | " + " | ".join(f"{share / len(found):.1%}" for share in shares) + " |")
    return lines
