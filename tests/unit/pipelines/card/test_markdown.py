"""What data says is text in Markdown, too."""

from __future__ import annotations

from pipelines.card.facts import size_category
from pipelines.card.markdown import plain, table


def test_marks_of_markdown_and_html_are_text() -> None:
    assert plain("a|b <script> [x](y) `c`\n# d\x1b") == (
        r"a\|b \<script\> \[x\]\(y\) \`c\` \# d\\x1b")


def test_tables() -> None:
    assert table(("a", "b"), [("x|y", 1234), (None, 0.5)]) == "| a | b |\n|---|---|\n| x\\|y | 1,234 |\n|  | 50.00% |\n"
    assert table(("a",), []) == ""


def test_categories_of_size() -> None:
    assert [size_category(n) for n in (0, 999, 1000, 10**9)] == ["n<1K", "n<1K", "1K<n<10K", "n>1B"]
