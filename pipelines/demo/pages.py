"""The plan of the demo's web: which pages there are, on which hosts, what was planted in them, and who links to them.

A plan is data; templates.py turns its pages into HTML and archive.py puts them in WARC files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum

from manifests.errors import StageError
from pipelines.demo.chance import Chance
from pipelines.demo.edits import near_duplicate
from pipelines.demo.foreign import foreign_page
from pipelines.demo.prose import Article, gather
from pipelines.demo.questions import Question, questions
from pipelines.demo.spam import spam_page

MAX_PAGES_OF_QUESTION = 10
_PAIR_WORDS = 200
_GOOD_HOSTS = tuple(f"{name}.example" for name in (
    "docs.brambleworks", "handbook.tidewater", "notes.fernhollow", "blog.quillandcode", "guide.northgate",
    "wiki.lodestar", "learn.papermill", "www.slowcompiler", "manual.greylag", "journal.stonebridge",
    "reference.oakline", "dev.thornfield", "docs.lanternfish", "essays.copperkettle", "www.fieldnotebook",
    "library.westmarch", "tips.inkwell", "texts.harrowgate", "archive.millpond", "blog.seventhshelf",
    "kb.driftwood", "www.plainterms", "docs.sundial", "pages.ashgrove", "www.longreads-lab", "help.moorland",
    "study.hazelwood", "www.codegarden", "notes.rivermouth", "open.saltmarsh"))
_SPAM_HOSTS = tuple(f"{name}.example" for name in (
    "www.best-deals-4u", "cheap-mega-outlet", "www.topcasino-bonus", "quick-loans-now", "shop.pricecrusher",
    "linkfarm-one", "www.replica-hub", "win-easy-money", "free-coupons-daily", "parked-domain-77"))
_FOREIGN_HOSTS = tuple(f"{name}.example" for name in (
    "reise.kleinstadt", "carnets.voyage", "paseos", "puteshestvie", "tabi", "viaggi.piccoli", "world.townnotes",
    "rihla"))
N_LINKED_HOSTS = 22


class Kind(StrEnum):
    """What a page is in the truth."""

    ORIGINAL = "original"
    EXACT = "exact_copy"
    NEAR = "near_duplicate"
    SPAM = "spam"
    FOREIGN = "foreign"
    MOJIBAKE = "mojibake"
    CONTAMINATED = "contaminated"
    TRUNCATED = "truncated"


_SHARES = {Kind.EXACT: 0.045, Kind.NEAR: 0.06, Kind.SPAM: 0.165, Kind.FOREIGN: 0.055, Kind.MOJIBAKE: 0.0134,
           Kind.CONTAMINATED: 0.03, Kind.TRUNCATED: 0.004}


@dataclass(frozen=True)
class Page:
    """One page of the web. jaccard: exact word-5-gram Jaccard of title and paragraphs with those of of_url."""

    url: str
    kind: Kind
    title: str
    paragraphs: tuple[str, ...]
    language: str = "en"
    charset: str = "utf-8"
    declared: str = "header"
    linked: bool = False
    of_url: str | None = None
    jaccard: float | None = None
    items: tuple[str, ...] = ()
    note: str = ""

    @property
    def host(self) -> str:
        """Host of the URL."""
        return self.url.split("/")[2]

    @property
    def text(self) -> str:
        """What an extractor should find: title and paragraphs, a line each."""
        return "\n".join((self.title, *self.paragraphs))


@dataclass
class Plan:
    """All pages but the truncated ones in the order of their planning, the truncated ones, and the benchmark."""

    pages: list[Page] = field(default_factory=list)
    truncated: list[Page] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)


def plan(chance: Chance, n_pages: int) -> Plan:
    """Plan about n_pages pages; fewer where the environment's documentation does not suffice.

    Raises StageError where it does not suffice for half of them."""
    counts = {kind: max(3, round(share * n_pages)) for kind, share in _SHARES.items()}
    n_other = counts[Kind.CONTAMINATED] + counts[Kind.TRUNCATED] + counts[Kind.MOJIBAKE] // 2
    n_articles = n_pages - sum(counts.values()) + n_other
    articles = gather(chance, n_articles)
    if len(articles) < n_articles / 2:
        raise StageError(f"the installed documentation gives {len(articles)} articles of the {n_articles} asked for",
                         hint="render fewer pages, or install the packages of constraints.txt")
    planned = Plan(questions=questions(chance, max(3, counts[Kind.CONTAMINATED] * 2 // 5)))
    supply = iter(articles)
    planned.pages.extend(_contaminated(chance, supply, planned.questions, counts[Kind.CONTAMINATED]))
    planned.pages.extend(_mojibake(chance, supply, counts[Kind.MOJIBAKE]))
    planned.truncated.extend(_good(chance, next(supply), Kind.TRUNCATED, True) for _ in range(counts[Kind.TRUNCATED]))
    planned.pages.extend(_originals_and_copies(chance, list(supply), counts[Kind.EXACT], counts[Kind.NEAR]))
    planned.pages.extend(_foreign(chance, counts[Kind.FOREIGN]))
    planned.pages.extend(_spam(chance, number) for number in range(counts[Kind.SPAM]))
    return planned


def _good(chance: Chance, article: Article, kind: Kind, linked: bool, avoid: str = "") -> Page:
    """An article on a good host, of those that are linked from Reddit where it must be; never on the host `avoid`."""
    hosts = [host for host in (_GOOD_HOSTS[:N_LINKED_HOSTS] if linked else _GOOD_HOSTS) if host != avoid]
    key = f"{kind}/{article.origin}"
    host = chance.one("host", key, hosts)
    slug = re.sub(r"[^a-z0-9]+", "-", article.title.lower()).strip("-")[:60]
    unique = chance.below("url", key, 1 << 32)
    charset, declared = chance.one("charset", key, (("utf-8", "header"),) * 16 + (
        ("windows-1252", "header"), ("iso-8859-1", "meta"), ("utf-8", "meta"), ("utf-8", "none")))
    section = chance.one("section", key, ("articles", "notes", "guide", "p", "2024/03", "read"))
    reddit = linked or (host in _GOOD_HOSTS[:N_LINKED_HOSTS] and chance.happens("linked", key, 70))
    return Page(f"https://{host}/{section}/{slug}-{unique:08x}", kind, article.title, article.paragraphs,
                charset=charset, declared=declared, linked=reddit)


def _originals_and_copies(chance: Chance, articles: list[Article], n_exact: int, n_near: int) -> Iterator[Page]:
    """Originals, the first of which have a copy elsewhere: the same text, or one edited to a drawn similarity."""
    ready = [article for article in articles if article.n_words >= _PAIR_WORDS]
    exact, near = ready[:n_exact], ready[n_exact : n_exact + n_near]
    paired = {article.origin for article in exact + near}
    for article in exact:
        original = _good(chance, article, Kind.ORIGINAL, True)
        copy = _good(chance, article, Kind.EXACT, True, avoid=original.host)
        yield original
        yield replace(copy, of_url=original.url, jaccard=1.0)
    for index, article in enumerate(near):
        # Seven in ten are above 0.9, which dedup must find; the rest go down to 0.6 to try its threshold.
        step = chance.below("target", article.origin, 100) / 100
        target = 0.9 + 0.07 * step if index % 10 < 7 else 0.6 + 0.3 * step
        edited, similarity = near_duplicate(chance, article, target)
        original = _good(chance, article, Kind.ORIGINAL, True)
        copy = _good(chance, edited, Kind.NEAR, True, avoid=original.host)
        yield original
        yield replace(copy, of_url=original.url, jaccard=similarity)
    for article in articles:
        if article.origin not in paired:
            yield _good(chance, article, Kind.ORIGINAL, False)


def _contaminated(chance: Chance, supply: Iterator[Article], items: list[Question], n_pages: int) -> Iterator[Page]:
    """Articles with a question of the benchmark inside: two questions in ten pages, the others in one to three."""
    wanted = [MAX_PAGES_OF_QUESTION if index < 2 else 1 + index % 3 for index in range(len(items))]
    turns = [item for turn in range(MAX_PAGES_OF_QUESTION) for item, n in zip(items, wanted, strict=True) if turn < n]
    for number, item in enumerate(turns[:n_pages]):
        page = _good(chance, next(supply), Kind.CONTAMINATED, True)
        paragraphs = list(page.paragraphs)
        index = chance.below("plant", page.url, len(paragraphs))
        if number % 3 == 0:
            paragraphs.insert(index, item.question)
        elif number % 3 == 1:
            paragraphs[index] += " " + item.question
        else:
            paragraphs.insert(index, f"A reader asks: {item.question.upper()} The answer is {item.answer}.")
        yield replace(page, paragraphs=tuple(paragraphs), items=(item.item,))


def _mojibake(chance: Chance, supply: Iterator[Article], n_pages: int) -> Iterator[Page]:
    """UTF-8 read as windows-1252 and stored again as UTF-8: half of them English with typographic marks."""
    for number in range(n_pages):
        if number % 2:
            page = _good(chance, _typographic(next(supply)), Kind.MOJIBAKE, False)
        else:
            page = replace(_foreign_one(chance, 10_000 + number), kind=Kind.MOJIBAKE)
        yield replace(page, title=_misread(page.title), paragraphs=tuple(map(_misread, page.paragraphs)),
                      charset="utf-8", declared="header", linked=False, note="UTF-8 read as windows-1252")


def _typographic(article: Article) -> Article:
    curly = (re.sub(r"\"([^\"]*)\"", "\u201c\\1\u201d", p).replace("'", "\u2019").replace(". ", " \u2013 ", 1)
             for p in article.paragraphs)
    return replace(article, paragraphs=tuple(curly))


def _misread(text: str) -> str:
    return text.encode().decode("windows-1252", "replace")


def _foreign(chance: Chance, n_pages: int) -> Iterator[Page]:
    for number in range(n_pages):
        yield _foreign_one(chance, number)


def _foreign_one(chance: Chance, number: int) -> Page:
    language, title, paragraphs = foreign_page(chance, number)
    charset = "utf-8" if chance.happens("foreign charset", number, 60) else chance.one("cs", number, language.charsets)
    declared = chance.one("foreign declared", number, ("header", "meta"))
    host = chance.one("foreign host", number, _FOREIGN_HOSTS)
    return Page(f"https://{host}/{language.code}/{number:05}.html", Kind.FOREIGN, title, paragraphs,
                language=language.code, charset=charset, declared=declared)


def _spam(chance: Chance, number: int) -> Page:
    kind, title, paragraphs = spam_page(chance, number)
    host = chance.one("spam host", number, _SPAM_HOSTS)
    url = f"http://{host}/{kind}/{number}.php?ref={chance.below('ref', number, 1000)}"
    return Page(url, Kind.SPAM, title, paragraphs, note=kind)
