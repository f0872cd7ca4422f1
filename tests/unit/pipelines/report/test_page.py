"""The page of a report: every section, nothing from elsewhere, and data that stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from pipelines.report.elements import Cell, number, table
from pipelines.report.page import SECTIONS, page
from pipelines.report.svg import bars, histogram

EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


class Parsed(HTMLParser):
    """Elements of a page, with the text of each kind, and every attribute that refers to something."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "action", "data", "poster") or name.startswith("on"):
                self.references.append(f"{name}={value}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def facts() -> dict[str, Any]:
    """Facts in which every text that data can choose is hostile."""
    document = {"doc_id": "00" * 16, "url": EVIL, "source": EVIL, "text": EVIL, "value": 1.5, "threshold": 2.0}
    return {
        "run": EVIL, "recipe_name": EVIL,
        "read": {"parts": 1, "of_parts": 3, "documents": 10, "of_documents": 30},
        "alarms": [{"severity": "alarm", "what": EVIL, "advice": EVIL}],
        "funnel": [{"stage": "extract", "documents": 10, "kept": 4, "dropped": {"language": 6}}],
        "fates": [{"source": EVIL, "fate": EVIL, "documents": 4, "bytes": 90}],
        "stats": [{"source": EVIL, "language": EVIL, "page_type": None, "documents": 4, "bytes": 90, "tokens": 30}],
        "signals": [{"signal": EVIL, "documents": 10, "bins": [{"from": 0.0, "to": 1.0, "documents": 10}],
                     "rules": [{"reason": EVIL, "threshold": 0.5, "side": "at_least", "fail": 3}],
                     "beside": {"below": [{**document, "value": 0.4}], "above": []}}],
        "languages": [{"name": EVIL, "kept": 4, "dropped": 6}], "page_types": [],
        "domains_in": [{"domain": EVIL, "pages": 10, "documents": 4, "bytes": 90, "tokens": 30, "share": 1.0}],
        "domains_out": [],
        "duplicates": {"sizes": [{"up_to": 2, "groups": 1}], "largest": [
            {"doc_id": "00", "url": EVIL, "duplicates": 1, "copy_url": EVIL, "copy": "11", "similarity": 0.9,
             "diff": [EVIL]}]},
        "contamination": {"benchmarks": [{"benchmark": EVIL, "n_items": 3, "n_clean": 2, "n_cut": 1, "n_dirty": 0,
                                          "n_too_short": 0, "ngram": 13}],
                          "matches": [{"benchmark": EVIL, "item": EVIL, "doc_id": "00", "url": None, "before": EVIL,
                                       "match": EVIL, "after": EVIL}]},
        "tokenizer": {"vocab_size": 300, "pattern": EVIL, "longest_tokens": [EVIL], "unused_tokens": [EVIL]},
        "mixture": [{"name": EVIL, "requested_weight": 1.0, "realised_share": 1.0, "available_tokens": 30,
                     "selected_tokens": 30, "epochs": 1.0}],
        "shards": [{"split": "train", "shards": 1, "rows": 1, "tokens": 30, "dropped_tokens": 0}],
        "stages": [{"stage": "extract", "tasks": 1, "seconds": 0.0, "peak_memory_bytes": 10, "bytes_out": 5,
                    "damaged": 0}],
        "samples": {"kept": [document], "dropped": [{**document, "stage": "select", "reason": EVIL, "text": None}]},
        "edited": [{"doc_id": "00", "url": EVIL, "source": EVIL,
                    "pieces": [{"kept": True, "text": EVIL}, {"kept": False, "text": EVIL}]}],
        "recipe": EVIL, "versions": {"python": EVIL}}


def test_every_section_is_there_and_nothing_is_from_elsewhere(facts: dict[str, Any]) -> None:
    parsed = Parsed(page(facts))
    assert [i for i in parsed.ids if i] == [anchor for anchor, _, _ in SECTIONS]
    assert parsed.references == [f"href=#{anchor}" for anchor, _, _ in SECTIONS]
    assert not {"link", "img", "iframe", "object", "embed", "form"} & set(parsed.tags)
    assert "url(" not in page(facts)


def test_what_data_says_stays_text(facts: dict[str, Any]) -> None:
    html = page(facts)
    parsed = Parsed(html)
    assert parsed.tags.count("script") == 1  # the page's own
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert sum("<script>alert(1)</script>\"'&\\x1b[31m\\u202e" in text for text in parsed.texts) > 20


def test_the_policy_allows_the_own_script_alone(facts: dict[str, Any]) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page(facts))
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "script-src 'sha256-" in policy[1]


def test_a_part_of_the_run_is_called_one(facts: dict[str, Any]) -> None:
    assert "counted in 1 of 3 parts" in page(facts)
    facts["read"]["of_parts"] = 1
    assert "counted in" not in page(facts)


def test_charts_draw_what_they_are_given() -> None:
    drawn = bars("shares", [("a<b", 10, 5, "half"), ("c", 5, None, "")])
    assert drawn.count("<rect") == 3
    assert "a&lt;b" in drawn
    assert 'width="330.0"' in drawn
    assert bars("none", []) == histogram("none", [], []) == ""
    bins = [{"from": 0.0, "to": 1.0, "documents": 4}, {"from": 1.0, "to": 2.0, "documents": 0}]
    lines = histogram("values", bins, [(1.0, "1"), (9.0, "9")])
    assert 'x1="320.0"' in lines
    assert 'x1="640.0"' in lines
    assert "9 →" in lines


def test_tables_carry_what_they_are_sorted_by() -> None:
    html = table(("name", "n"), [(Cell("x"), number(1200))])
    assert '<td data-value="1200">1,200</td>' in html
    assert table(("name",), []) == ""
