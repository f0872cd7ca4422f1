"""Configuration of selection: the keep rules on scores, and what is asked of texts before them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from curate.extraction.extracted import PageType
from curate.heuristics.config import RulesConfig
from curate.heuristics.listed_words_config import ToxicWordsConfig
from curate.heuristics.pii_config import PiiConfig
from curate.perplexity.config import Bucket
from curate.plugins import EditPlugin
from curate.selection.keep_rules import Alpha, KeepRule


class SelectConfig(BaseModel):
    """Which documents go on: GPT-3's keep rule on the classifier's score, and the heuristic rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alpha: Alpha = Field(9.0, description=(
        "Exponent of the keep rule: a document stays iff u < (2 - score) ** -alpha with u uniform by its id; GPT-3's 9 "
        "keeps a page of score 0 once in 512. A multiple of 0.25, so that every machine computes it alike."))
    keep: tuple[KeepRule, ...] = Field((), description=(
        "Keep rules on scores, instead of pareto with `alpha` on the run's own classifier."))
    combine: Literal["all", "any"] = Field("all", description=(
        "Whether a document must pass all of the keep rules, or any one."))
    filtered_sources: tuple[str, ...] | None = Field(None, description=(
        "Sources, after derivation, to which the keep rule applies; the others are scored and keep all. Null means "
        "every source with files that is not curated."))
    page_types: tuple[PageType, ...] | None = Field(None, description=(
        "Kinds of pages that stay (column `page_type`), asked before the rules; null keeps all. Documents of no kind "
        "stay."))
    rules: RulesConfig | None = Field(None, description=(
        "Heuristic rules, applied to every source before the keep rule: a preset, or a list of rules; null for none."))
    toxic_words: ToxicWordsConfig | None = Field(None, description="Lists of words, asked after the rules.")
    perplexity_buckets: tuple[Bucket, ...] | None = Field(None, min_length=1, description=(
        "Which of head, middle and tail stay, where the recipe gives language models (`perplexity`); null keeps all. A "
        "document stays whose language has no model, or whose source is curated."))
    pii: PiiConfig | None = Field(None, description="Personal data, after the word lists; null leaves all of it.")
    edits: tuple[EditPlugin, ...] = Field((), description=(
        "Spans that plug-ins take out of kept documents or replace, beside those of rules and personal data; each "
        "reads the texts as they were extracted."))

    def signals(self) -> set[str]:
        """The signals that the rules read."""
        return {rule.signal for rule in self.rules.in_force} if self.rules is not None else set()

    def keep_rules(self) -> tuple[KeepRule, ...]:
        """The keep rules; without any, GPT-3's on the run's own classifier."""
        return self.keep or (KeepRule(rule="pareto", alpha=self.alpha),)
