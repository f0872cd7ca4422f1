"""The windows that a text is judged by, and pages of several languages."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.language.download import lid_model_path
from curate.language.identify import identify
from curate.text.windows import cut_windows
from manifests.errors import InputError

ENGLISH = "The harbour was quiet that morning, and nobody in the town wanted to speak of what had happened. " * 12
GERMAN = "Der Hafen war an jenem Morgen still, und niemand in der Stadt wollte davon sprechen, was geschehen war. " * 12


@pytest.fixture(scope="module")
def _model() -> None:
    try:
        lid_model_path()
    except InputError as error:
        pytest.skip(str(error))


def windows(text: str, size: int) -> list[str]:
    lines, rows = cut_windows(pa.array([text], pa.large_string()), size)
    lines.validate(full=True)
    assert rows.tolist() == [0] * len(lines)
    found: list[str] = lines.to_pylist()
    return found


def test_windows_come_from_start_middle_and_end_and_hold_whole_words() -> None:
    words = [f"word{i:04d}" for i in range(1000)]
    first, middle, last = windows(" \n".join(words), 90)
    for window in (first, middle, last):
        assert set(window.split(" ")) <= set(words)
        assert 80 <= len(window) <= 90 + 48
    assert first.startswith("word0000 word0001")
    assert last.endswith("word0999")
    assert 450 < int(middle[4:8]) < 550


def test_short_and_blank_texts() -> None:
    assert windows(" a  short\u00a0text \x85 ", 400) == ["a short text"]
    assert windows(" \n\u3000\t", 400) == []
    assert windows("x" * 599, 400) == ["x" * 599]
    lines, rows = cut_windows(pa.array(["one", None, "", "two " * 300], pa.large_string()).slice(0), 400)
    assert rows.tolist() == [0, 3, 3, 3]
    assert lines[0].as_py() == "one"


@settings(max_examples=200, deadline=None)
@example(["   a"], 3)
@given(st.lists(st.text(st.sampled_from("ab é日\U0001f600\n\u3000\x85")), max_size=5), st.integers(1, 12))
def test_windows_are_parts_of_their_text_in_order(texts: list[str], size: int) -> None:
    lines, rows = cut_windows(pa.array(texts, pa.large_string()), size)
    lines.validate(full=True)
    for i, text in enumerate(texts):
        collapsed = " ".join(text.split())
        found = [line for line, row in zip(lines.to_pylist(), rows, strict=True) if row == i]
        assert len(found) <= 3
        assert bool(found) == bool(collapsed) or len(text) >= 1.5 * size
        place = 0
        for line in found:
            assert line == " ".join(line.split())
            place = collapsed.index(line, place) + len(line)


@pytest.mark.usefixtures("_model")
def test_languages_that_share_a_page_are_told() -> None:
    texts = [ENGLISH, GERMAN, f"{ENGLISH}\n{ENGLISH}\n{GERMAN}", "Menu Home About\n" + GERMAN, ENGLISH[:300]]
    found = identify(pa.array(texts, pa.large_string()))
    assert found.labels.to_pylist() == ["en", "de", "en", "de", "en"]
    assert [share == 1 for share in found.shares.to_pylist()] == [True, True, False, True, True]
    assert found.scores[2].as_py() < 0.7 < found.scores[0].as_py()


@pytest.mark.usefixtures("_model")
def test_the_share_of_a_page_is_of_its_characters_line_by_line() -> None:
    english, german = ENGLISH[:388].strip(), GERMAN[:416].strip()
    lines = [english] * 6 + [german] * 3 + ["Impressum", "12.50 / 13.75 / 99.00 / 11.25"] * 4
    (share,) = identify(pa.array(["\n".join(lines)], pa.large_string())).shares.to_pylist()
    assert share == pytest.approx(6 * len(english) / (6 * len(english) + 3 * len(german)), abs=0.02)
    (whole,) = identify(pa.array(["\n".join(reversed(lines))], pa.large_string())).shares.to_pylist()
    assert whole == pytest.approx(share, abs=0.02)


@pytest.mark.usefixtures("_model")
def test_what_is_in_no_language() -> None:
    figures = "12.50 13.75 99.00 (11.25) 2024-01-02 08:30\n" * 60
    texts = [figures, "$49.97\n\nReg. Price: $109.99", ENGLISH + figures[:800], figures[:600] + ENGLISH, "!!! ??? ***"]
    found = identify(pa.array(texts, pa.large_string()))
    assert found.labels.to_pylist() == ["zxx", "zxx", "en", "en", "zxx"]
    assert all(score > 0.5 for score in found.scores.to_pylist())
    assert found.scores[2].as_py() > 0.9  # a window of figures says nothing against the others
    assert found.shares.to_pylist() == [1] * 5
