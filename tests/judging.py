"""The quickest verdict of rules on texts, for tests and benchmarks."""

from __future__ import annotations

import pyarrow as pa

from curate.heuristics.computed import signals
from curate.heuristics.config import RulesConfig
from curate.heuristics.rules import judge
from curate.heuristics.signals import Words, groups_of


def judge_texts(config: RulesConfig, words: Words, texts: pa.Array) -> pa.Array:
    """Reasons of texts (null where kept), computing no signal that no rule reads: the quickest verdict."""
    wanted = {rule.signal for rule in config.in_force}
    table = signals(texts, words, None, config.c4, config.refinedweb, groups_of(wanted))
    return judge(table, config.in_force)[0]
