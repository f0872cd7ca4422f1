"""English prose from documentation that is already installed: docstrings, reference topics, package descriptions.

Nothing is imported or run: docstrings are found in source files by a lexical scan, which costs a second where parsing
all of them costs half a minute. Paragraphs that are code, tables, parameter lists or markup are left out, and so is
every paragraph much of which was seen before: two articles share few word 5-grams, so planted copies are the only ones.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import pydoc_data.topics
import re
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.demo.chance import Chance

SHINGLE = 5
_SEEN_SHARE = 0.2
_MIN_WORDS = 150
_MIN_BLOCK, _MAX_BLOCK = 60, 2000  # characters
_OWN_PACKAGES = {"curate", "manifests", "pipelines", "tokenizer"}
_STDLIB_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "lib2to3",
                   "turtledemo", "pydoc_data"}
_FIRST_PACKAGES = ("numpy", "polars", "pyarrow", "scipy", "pydantic", "rich", "numba", "aiohttp", "setuptools", "pip")
_LEXEME = re.compile(
    r"""\#[^\n]*(?:\n[ \t]*\#[^\n]*)*|\"{3}(?:[^\\"]+|\\.|"(?!""))*\"{3}|'{3}(?:[^\\']+|\\.|'(?!''))*'{3}"""
    r"""|"(?:[^"\\\n]+|\\.)*"|'(?:[^'\\\n]+|\\.)*'""", re.DOTALL)
_HASHES = re.compile(r"^[ \t]*\#+ ?", re.MULTILINE)
_WORD = re.compile(r"[^\W_]+")
_ROLE = re.compile(r":[a-z:]+:`~?\.?([^`<]+)(?: <[^`]*>)?`")
_LINK = re.compile(r"!?\[([^\]\[]*)\]\([^)\s]*\)")
_MARKUP = re.compile(r"``?([^`\n]*)``?_{0,2}|\*\*?([^*\s][^*\n]*)\*\*?")
_CITATION = re.compile(r"\s*\[[\w#.-]+\]_?")
_REFUSED = re.compile(r"[{}|\\<>=~^$@]|::|--|\.\.\.|https?:|www\.|TODO|XXX|"
                      r"[Jj]avascript|[Cc]ookie|[Pp]rivacy|[Ll]orem")
_BLANK = re.compile(r"\n[ \t]*\n")
_HOLES = re.compile(r"\s[.,;:)]|\([ ,]*\)|\b(?:at|see|in|by|of|from|the)\.$")
_SYMBOLS = re.compile(r"[_()\[\]*/#:`\"+%&]")
_QUOTES = ('"' * 3, "'" * 3)
_ENDS = ".!?"
_STOP = {"the", "be", "to", "of", "and", "that", "have", "with", "is", "a", "in", "it", "for", "this"}


@dataclass(frozen=True)
class Article:
    """One page's worth of prose: a title and paragraphs, and where they came from."""

    title: str
    paragraphs: tuple[str, ...]
    origin: str

    @property
    def n_words(self) -> int:
        """Words of title and paragraphs."""
        return len(words(self.title)) + sum(len(words(p)) for p in self.paragraphs)

    @property
    def text(self) -> str:
        """What an extractor should find: title and paragraphs, a line each."""
        return "\n".join((self.title, *self.paragraphs))


def words(text: str) -> list[str]:
    """Maximal runs of letters and digits, lower-cased: the words whose 5-grams the recorded Jaccard is over."""
    return _WORD.findall(text.lower())


def shingles(text: str) -> set[tuple[str, ...]]:
    """The set of word 5-grams of a text."""
    w = words(text)
    return set(zip(*(w[i:] for i in range(SHINGLE)), strict=False))


def jaccard(a: str, b: str) -> float:
    """Exact Jaccard similarity of the word 5-gram sets of two texts; 1.0 for two texts without any."""
    x, y = shingles(a), shingles(b)
    union = len(x | y)
    return len(x & y) / union if union else 1.0


def gather(chance: Chance, n_articles: int) -> list[Article]:
    """Up to n_articles distinct articles of 150 to 600 words from the standard library's and packages' documentation.

    Sources are read in a fixed order, the best prose first, until there is enough, so a small demo is quick. What is
    installed decides the text: the web is the same again only in the same environment."""
    seen: set[tuple[str, ...]] = set()
    for topic in reference():
        for paragraph in topic.paragraphs:
            seen |= shingles(paragraph)
    articles: list[Article] = []
    for name, blocks in _sources():
        articles.extend(_articles(chance, name, blocks, seen))
        if len(articles) >= n_articles:
            break
    return chance.shuffled("articles", articles)[:n_articles]


def reference() -> list[Article]:
    """The language reference's topics, as the demo's curated source; they appear on no page of the web."""
    articles = []
    for name, text in sorted(pydoc_data.topics.topics.items()):
        paragraphs = tuple(dict.fromkeys(_prose(_blocks(text))))
        article = Article(text.strip().split("\n", 1)[0].strip().replace('"', ""), paragraphs, f"topics/{name}")
        if article.n_words >= _MIN_WORDS:
            articles.append(article)
    return articles


def _articles(chance: Chance, name: str, blocks: Iterable[str], seen: set[tuple[str, ...]]) -> Iterator[Article]:
    """Consecutive new paragraphs of one source, gathered to articles of a drawn length."""
    open_paragraphs: list[str] = []
    n_words, number = 0, 0
    target = 200
    for paragraph in _prose(blocks):
        grams = shingles(paragraph)
        if len(grams & seen) > _SEEN_SHARE * len(grams):
            continue
        seen |= grams
        open_paragraphs.append(paragraph)
        n_words += len(words(paragraph))
        if n_words >= target:
            number += 1
            yield Article(_title(chance, name, number, open_paragraphs), tuple(open_paragraphs), f"{name}/{number}")
            open_paragraphs, n_words = [], 0
            target = _MIN_WORDS + chance.below("length", f"{name}/{number}", 15) ** 2


_TITLES = ("Notes on {}", "How {} works", "A closer look at {}", "{}, explained", "Working with {}",
           "What to know about {}", "Understanding {}", "{} in practice")


def _title(chance: Chance, name: str, number: int, paragraphs: list[str]) -> str:
    """A headline from the first sentence's opening words, as blogs have them."""
    opening = [w for w in re.findall(r"[A-Za-z]{3,}", paragraphs[0]) if w.lower() not in _STOP][:4]
    return chance.one("title", f"{name}/{number}", _TITLES).format(" ".join([name, *opening]).lower()).capitalize()


def _sources() -> Iterator[tuple[str, Iterable[str]]]:
    """(name, blocks of text) of every source, in a fixed order."""
    paths = sysconfig.get_paths()
    yield "Python", _documentation(Path(paths["stdlib"]), _STDLIB_SKIPPED)
    yield "packages", _descriptions()
    installed = {path.name for path in Path(paths["purelib"]).iterdir() if (path / "__init__.py").is_file()}
    for package in [*_FIRST_PACKAGES, *sorted(installed - _OWN_PACKAGES - set(_FIRST_PACKAGES))]:
        yield package, _documentation(Path(paths["purelib"]) / package, {"test", "tests", "testing"})


def _descriptions() -> Iterator[str]:
    """Blocks of the long descriptions of the installed packages, by name."""
    found = {d.name.lower(): d for d in importlib.metadata.distributions() if d.name}
    for name in sorted(found):
        description = found[name].metadata.get_payload()  # type: ignore[attr-defined]
        yield from _blocks(str(description or ""))


def _documentation(folder: Path, skipped: set[str]) -> Iterator[str]:
    """Blocks of the docstrings and comments in the Python files of a folder, in path order."""
    for path in sorted(folder.rglob("*.py")):
        if skipped & set(path.relative_to(folder).parts):
            continue
        source = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
        for match in _LEXEME.finditer(source):
            lexeme = match[0]
            if len(lexeme) < _MIN_BLOCK:
                continue
            if lexeme[0] == "#":
                yield from _blocks(_HASHES.sub("", lexeme))
            elif lexeme[:3] in _QUOTES and _stands_alone(source, match.start()):
                yield from _blocks(inspect.cleandoc(lexeme[3:-3]))


def _stands_alone(source: str, place: int) -> bool:
    """Whether only blanks and a raw prefix stand before a place on its line, as before docstrings."""
    return not source[source.rfind("\n", 0, place) + 1 : place].strip(" \trR")


def _blocks(text: str) -> Iterator[str]:
    """Blocks between blank lines that begin and end as sentences do and whose lines all have one indentation, each
    as one line. Hanging lists and tables have more indentations than one."""
    for block in _BLANK.split(text.expandtabs()):
        opening = block.lstrip()[:1]
        if len(block) < _MIN_BLOCK or not opening.isupper() or block.rstrip()[-1] not in _ENDS:
            continue
        lines = block.strip("\n").split("\n")
        if len({len(line) - len(line.lstrip()) for line in lines}) == 1:
            yield " ".join(line.strip() for line in lines)


def _prose(blocks: Iterable[str]) -> Iterator[str]:
    """The blocks that read as sentences, without their markup."""
    for block in blocks:
        if len(block) > _MAX_BLOCK or _REFUSED.search(block):
            continue
        plain = _LINK.sub(r"\1", _ROLE.sub(r"\1", block))
        plain = _CITATION.sub("", _MARKUP.sub(lambda m: m[1] or m[2] or "", plain))
        plain = " ".join(plain.split())
        if plain and _reads_as_prose(plain):
            yield plain


def _reads_as_prose(text: str) -> bool:
    if not text[:1].isupper() or text[-1] not in _ENDS or _REFUSED.search(text) or _HOLES.search(text):
        return False
    parts = text.split()
    if not 12 <= len(parts) <= 250 or len(_SYMBOLS.findall(text)) > 0.12 * len(parts):
        return False
    alphabetic = sum(part.strip(".,;:!?()'\"").replace("-", "").replace("'", "").isalpha() for part in parts)
    stops = len(_STOP.intersection(part.lower() for part in parts))
    return alphabetic >= 0.88 * len(parts) and stops >= 3 and 3.0 <= len(text) / len(parts) - 1 <= 7.5
