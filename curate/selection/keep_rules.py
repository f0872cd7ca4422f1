"""The keep rules on scores, in one table, and what a recipe says of one.

Another rule is one entry in `KEEP_RULES`, with a function, a reason and, where it has a number of its own, a field of
KeepRule. A rule that keeps a share of all documents says which; the stage select/cutoffs turns that into cut-offs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from curate.classifier.pareto import needed_score, pareto_keeps
from curate.classifier.score_tables import OWN
from manifests.hashing import id_words, uniform

_PURPOSE: Final = "select"

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Passed = tuple[npt.NDArray[np.bool_], Float64]
"""(whether each document stays, the smallest score with which it would), both [n]."""


def _quarters(alpha: float) -> float:
    if alpha * 4 != int(alpha * 4):
        raise ValueError(f"alpha must be a multiple of 0.25, not {alpha}")
    return alpha


Alpha = Annotated[float, Field(ge=0.25, le=64), AfterValidator(_quarters)]


class SelectReason(StrEnum):
    """Why a keep rule dropped a document; value: its score, threshold: the smallest score that would have stayed."""

    PARETO = "pareto"
    THRESHOLD = "below_threshold"
    PERCENTILE = "below_percentile"
    TOP_FRACTION = "outside_top_fraction"


@dataclass(frozen=True, slots=True)
class Scored:
    """What a rule sees of some documents. score: float32 [n]. ids: their doc_id. language: string [n]. cutoffs: the
    rule's, by language, or under None where one holds for all; everything stays where there is none. seed: of
    everything left to chance."""

    score: Float32
    ids: pa.ChunkedArray[Any]
    language: pa.ChunkedArray[Any]
    cutoffs: dict[str | None, float]
    seed: int


@dataclass(frozen=True, slots=True)
class RuleKind:
    """One keep rule. name: as recipes call it. what: as their reference explains it. reason: why it drops. share: which
    share of all documents it keeps, for a rule that must see all scores. by_language: whether of each language."""

    name: str
    what: str
    reason: SelectReason
    apply: Callable[[KeepRule, Scored], Passed]
    share: Callable[[KeepRule], float] | None = None
    by_language: bool = False


def _pareto(rule: KeepRule, documents: Scored) -> Passed:
    purpose = _PURPOSE if rule.score == OWN else f"{_PURPOSE}/{rule.score}"
    u = uniform(documents.seed, purpose, id_words(documents.ids))
    passed, needed = pareto_keeps(documents.score, u, rule.alpha), np.zeros(len(u))
    needed[~passed] = needed_score(u[~passed], rule.alpha)
    return passed, needed


def _threshold(rule: KeepRule, documents: Scored) -> Passed:
    needed = np.full(len(documents.score), np.float64(np.float32(rule.threshold)))
    return documents.score >= needed, needed


def _at_cutoffs(rule: KeepRule, documents: Scored) -> Passed:
    cutoffs = documents.cutoffs
    needed = np.full(len(documents.score), cutoffs.get(None, 0.0))
    if cutoffs and None not in cutoffs:
        import polars as pl  # for this rule alone: a recipe need not load it

        languages: pl.Series = pl.Series(documents.language).fill_null("")
        needed = languages.replace_strict(list(cutoffs), list(cutoffs.values()), default=0.0,
                                          return_dtype=pl.Float64).to_numpy()
    return documents.score >= needed, needed


KEEP_RULES: Final[dict[str, RuleKind]] = {kind.name: kind for kind in (
    RuleKind("pareto", "GPT-3's, by chance and score", SelectReason.PARETO, _pareto),
    RuleKind("threshold", "a score of at least `threshold`", SelectReason.THRESHOLD, _threshold),
    RuleKind("percentile", "a score of at least the `percentile`-th of all", SelectReason.PERCENTILE, _at_cutoffs,
             lambda rule: 1 - rule.percentile / 100),
    RuleKind("top_fraction", "the best `fraction` of each language", SelectReason.TOP_FRACTION, _at_cutoffs,
             lambda rule: rule.fraction, by_language=True),
)}
"""By name, the default first."""


class KeepRule(BaseModel):
    """One rule on one score. Of alpha, threshold, percentile and fraction, a rule reads the one of its kind."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    score: str = Field(OWN, pattern=r"^[a-z][a-z0-9_]*$", description=(
        "Whose score: `quality` is the run's own classifier, else a name under `classifiers`."))
    rule: str = Field(next(iter(KEEP_RULES)), json_schema_extra={"enum": list(KEEP_RULES)}, description=". ".join(
        f"{kind.name}: {kind.what}" for kind in KEEP_RULES.values()) + ".")
    alpha: Alpha = Field(9.0, description="Exponent of pareto; a multiple of 0.25.")
    threshold: float = Field(0.5, ge=0, le=1, description="Smallest score that threshold keeps.")
    percentile: float = Field(90.0, ge=0, lt=100, description="Percentile of the filtered sources' scores; 90 keeps a "
                                                              "tenth, as DCLM did (Li et al. 2024, section 4.4).")
    fraction: float = Field(0.1, gt=0, le=1, description="Share of each language that top_fraction keeps.")

    @field_validator("rule")
    @classmethod
    def _is_known(cls, rule: str) -> str:
        if rule not in KEEP_RULES:
            raise ValueError(f"no keep rule is called {rule!r}; there are {', '.join(KEEP_RULES)}")
        return rule

    @property
    def kind(self) -> RuleKind:
        """The table's entry."""
        return KEEP_RULES[self.rule]

    @property
    def fraction_kept(self) -> float | None:
        """Share of all scores that stays, for rules that need to see them all; else None."""
        return None if self.kind.share is None else self.kind.share(self)
