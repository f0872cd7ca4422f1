"""Pages with other class names, and gold texts that stop early."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import FEATURES
from curate.extraction.scan import scan
from curate.extraction.vocabulary import load_vocabulary
from scripts.extraction_model.gold import View, view_of
from scripts.extraction_model.score import words_of
from scripts.extraction_model.variants import BARE, RENAMED, learnt_blocks, variants_of

POSTS = [
    "The ferry left the harbour at noon with carts of barley, and nobody on the quay had counted the wet sacks.",
    "My brother mends engines in winter. He says that salt in the fuel, not age, is what stops most of them at sea.",
    "Has anybody tried to book a cabin by letter? Their office answers on Thursdays, as far as I could find out.",
    "Yes, twice. Write early, name both your dates, and send a stamp for their reply; it came within nine days.",
    "We took bicycles across last June without paying for them, though a sign beside that ramp asks for a ticket.",
    "Signs are older than prices here. Ask whoever stands at the winch, since rules change with every captain.",
    "Fog kept us on the island until Sunday evening, which children loved and their teachers will hear about.",
    "Bring bread when you sail after dark: no kitchen opens then, and machines on deck take only foreign coins.",
]


def thread(word: str, quoted: str = "") -> str:
    posts = "".join(f"<div class='{word}'><p>{text}</p></div>" for text in POSTS)
    return f"<body><h1>Ferries</h1><div>{posts}</div>{quoted}<p>Imprint of the harbour office</p></body>"


def view(html: str) -> tuple[View, list[list[str]]]:
    tables = load_vocabulary()
    page, n = scan(html.encode(), tables)
    texts = [page.text[b[0] : b[1]].tobytes().decode() for b in page.blocks[:n]]
    return view_of(page, n, tables), [words_of(text) for text in texts]


def test_a_thread_renamed_is_the_thread_of_another_software() -> None:
    posts, _ = view(thread("message"))
    comments, _ = view(thread("comment"))
    renamed = variants_of(posts, "forum")[RENAMED]
    assert not np.array_equal(posts.x, comments.x)
    np.testing.assert_array_equal(renamed.x, comments.x)
    np.testing.assert_array_equal(renamed.facts, comments.facts)


def test_a_bare_thread_has_no_classes() -> None:
    posts, _ = view(thread("message"))
    bare = variants_of(posts, "forum")[BARE]
    classes = [i for i, name in enumerate(FEATURES) if name.startswith(("class_", "near_"))]
    assert posts.x[:, classes].any()
    assert not bare.x[:, classes].any()
    others = np.setdiff1d(np.arange(len(FEATURES)), classes)
    np.testing.assert_array_equal(bare.x[:, others], posts.x[:, others])
    assert posts.facts[PAGE_FACTS.index("prose_in_messages")] > 0
    assert bare.facts[PAGE_FACTS.index("prose_in_messages")] == 0


def test_articles_without_comments_and_other_kinds_have_no_variants() -> None:
    posts, _ = view(thread("message"))
    comments, _ = view(thread("comment"))
    assert set(variants_of(posts, "article")) == set(variants_of(posts, "product")) == set()
    assert set(variants_of(comments, "article")) == {RENAMED}


def labelled(html: str, n_posts: int) -> tuple[npt.NDArray[np.bool_], list[list[str]]]:
    """What is learnt from a thread of which the gold text has its first posts, and the words of its blocks."""
    seen, words = view(html)
    gold = [words_of(text) for text in POSTS[:n_posts]]
    labels = np.array([1.0 if block in gold else 0.0 for block in words])
    # The second time that a post is on the page it is a quotation.
    first = [words.index(block) == i for i, block in enumerate(words)]
    return learnt_blocks(seen, words, labels * first, sum(map(len, gold))), words


def test_of_posts_after_the_end_of_the_gold_text_nothing_is_learnt() -> None:
    learnt, words = labelled(thread("message"), 4)
    copied = [block in [words_of(text) for text in POSTS[4:]] for block in words]
    assert not learnt[copied].any()
    assert learnt[: copied.index(True)].all()
    learnt, _ = labelled(thread("message"), 8)
    assert learnt.all()  # the imprint is no text: it stands in no element that was copied


def test_quotations_after_the_end_are_learnt_from() -> None:
    learnt, words = labelled(thread("message", f"<blockquote><p>{POSTS[0]}</p></blockquote>"), 4)
    assert learnt[[i for i, block in enumerate(words) if block == words_of(POSTS[0])]].all()
    assert not learnt.all()


def test_a_thread_without_gold_text_is_learnt_whole() -> None:
    learnt, _ = labelled(thread("message"), 0)
    assert learnt.all()
