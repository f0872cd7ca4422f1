"""Signals on texts worked out by hand, and the Gopher rules on them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curate.heuristics.computed import signals
from curate.heuristics.config import RulesConfig
from curate.heuristics.reasons import RuleReason
from curate.heuristics.rules import judge
from curate.heuristics.signals import COLUMN, COMPUTED, SIGNAL_FIELDS, Group

PROSE = ("When the light faded over the harbour, old fishermen hauled their nets and spoke of weather that might "
         "come. "
         "None had seen such calm in years; gulls drifted without sound, and lamps along every quay burned low. "
         "Children who should have been asleep watched from windows while mothers counted boats, one by one, to be "
         "sure nobody was missing. With dawn came rain.")


def test_a_text_by_hand() -> None:
    (row,) = signals(pa.array(["- The cat # sat...\nThe cat # sat...\n\nThe cat # sat..."])).to_pylist()
    assert row["signal_n_words"] == 9  # 3 times The, cat and sat...
    assert row["signal_mean_word_length"] == 4
    assert row["signal_hash_to_word_ratio"] == np.float32(3 / 13)
    assert row["signal_ellipsis_to_word_ratio"] == np.float32(3 / 13)
    assert row["signal_bullet_line_fraction"] == np.float32(1 / 3)
    assert row["signal_ellipsis_line_fraction"] == 1
    assert row["signal_alpha_word_fraction"] == np.float32(9 / 13)
    assert row["signal_n_stop_words"] == 1
    assert row["signal_duplicate_line_fraction"] == np.float32(1 / 3)
    assert row["signal_duplicate_line_character_fraction"] == np.float32(13 / 40)
    assert row["signal_duplicate_paragraph_fraction"] == 0
    assert row["signal_top_2_gram_character_fraction"] == np.float32(21 / 40)  # `# sat...`, 7 characters, 3 times


def test_no_text_and_no_texts() -> None:
    assert set(signals(pa.array(["", None, " \n\n "])).to_pylist()[1].values()) == {0.0}
    assert signals(pa.array([], pa.large_string())).num_rows == 0
    assert signals(pa.chunked_array([], pa.large_string())).num_columns == len(COMPUTED)


def test_slices_and_chunks_are_read_from_where_they_begin() -> None:
    texts = pa.array([f"{PROSE} number {i}" for i in range(6)], pa.large_string())
    whole = signals(texts)
    assert signals(texts.slice(2, 3)).equals(whole.slice(2, 3))
    assert signals(pa.chunked_array([texts.slice(0, 2), texts.slice(2)])).equals(whole)


@pytest.mark.parametrize(("text", "reason"), [
    (PROSE, None),
    (" ".join(PROSE.split()[:49]), RuleReason.GOPHER_TOO_FEW_WORDS),
    (" ".join(f"I am {i}" for i in range(30)), RuleReason.GOPHER_SHORT_WORDS),
    (" ".join(f"interconnection{i}" for i in range(60)), RuleReason.GOPHER_LONG_WORDS),
    (PROSE + " #comment" * 12, RuleReason.GOPHER_HASHES),
    (PROSE + " ..." * 12, RuleReason.GOPHER_ELLIPSES),
    ("\n".join("• " + w for w in PROSE.split()), RuleReason.GOPHER_BULLET_LINES),
    ("\n".join(s + "..." for s in PROSE.split(".")), RuleReason.GOPHER_ELLIPSIS_LINES),
    (PROSE + " 1234567" * 30, RuleReason.GOPHER_FEW_ALPHABETIC_WORDS),
    (" ".join(f"parola{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(60)), RuleReason.GOPHER_FEW_STOP_WORDS),
    ("\n".join([PROSE, "again", "again", "again"]), RuleReason.GOPHER_DUPLICATE_LINES),
    ("\n".join([PROSE + str(i) for i in range(3)] + [PROSE + "0"]), RuleReason.GOPHER_DUPLICATE_LINE_CHARACTERS),
    (PROSE + " and then he said so" * 16, RuleReason.GOPHER_TOP_2_GRAM),
    (PROSE + " " + PROSE, RuleReason.GOPHER_DUPLICATE_5_GRAMS),
])
def test_gopher_reasons(text: str, reason: RuleReason | None) -> None:
    reasons, values, thresholds = judge(signals(pa.array([text])), RulesConfig().in_force)
    assert reasons.to_pylist() == [reason]
    assert (values[0].as_py() is None) == (thresholds[0].as_py() is None) == (reason is None)


_RICH = pa.array([
    "- The cat # sat... of the Cat ... With THE 12 cats ﬁ\nand so on...\n\n"
    + "one two three four five six seven eight nine ten\n" * 2 + "\nsame paragraph here\n\nsame paragraph here\n",
    "Lorem ipsum dolor. Привет мир 漢字 مرحبا αβγ 12 (a)! JavaScript\ncode {\n",
    "One line that ends well enough. And another one.\nOne line that ends well enough. And another one.\n- the menu\n"
    "A line which has no mark at its end but words\n",
    "There is lorem ipsum in this line, is there not?",
    "There is a curly bracket {} in this line, is there not?",
    "SHOUTING ONLY HERE\nA line of small letters that stays."], pa.large_string())


@pytest.mark.parametrize("group", [Group.SURVEY, Group.C4, Group.REFINEDWEB, Group.REPETITION])
def test_every_entry_of_the_table_has_a_kernel_that_fills_its_column(group: Group) -> None:
    table = signals(_RICH, groups=group)
    filled = {name for name in COMPUTED if np.any(table[f"signal_{name}"].to_numpy())}
    assert filled == {name for name, signal in COMPUTED.items() if signal.group in group | Group.REPETITION}


def test_columns_are_where_the_table_says() -> None:
    assert COLUMN._fields == tuple(COMPUTED) == tuple(field.name.removeprefix("signal_") for field in SIGNAL_FIELDS)
    row = signals(_RICH).slice(2, 1).to_pylist()[0]
    assert row["signal_n_lines"] == 4
    assert row["signal_c4_n_sentences"] == 6
    assert row["signal_c4_strict_n_sentences"] == 4
