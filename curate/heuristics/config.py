"""Which heuristic rules a recipe asks for."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.heuristics.line_config import C4Lines, Editing, RefinedWebLines
from curate.heuristics.presets import PRESETS, Preset
from curate.heuristics.reasons import RuleReason
from curate.heuristics.rules import Rule


class RulesConfig(BaseModel):
    """Heuristic rules: a published preset, with thresholds of one's own and rules beside it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset = Field(default=Preset.GOPHER, description=(
        "Published rules, in their own order: gopher (Rae et al. 2021), c4 (Raffel et al. 2020), fineweb (Penedo et "
        "al. 2024), refinedweb (Penedo et al. 2023), dclm (Li et al. 2024); gpt3 has none (Brown et al. 2020)."))
    thresholds: dict[RuleReason, float | None] = Field(default_factory=dict, description=(
        "Other thresholds for rules of the preset, by reason; null turns a rule off. docs/filters.md lists them."))
    rules: tuple[Rule, ...] = Field(default=(), description="Further rules, asked after those of the preset.")
    edit: bool = Field(default=True, description=(
        "Whether rules on lines rewrite the text, where the preset has such; if not, it is only judged by them."))
    c4: C4Lines = Field(default_factory=C4Lines, description="Rules on lines of the presets c4 and fineweb.")
    refinedweb: RefinedWebLines = Field(
        default_factory=RefinedWebLines, description="Rules on lines of the presets refinedweb and dclm.")

    @model_validator(mode="before")
    @classmethod
    def _list_of_rules(cls, value: Any) -> Any:
        return {"preset": Preset.GPT3, "rules": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _known_thresholds(self) -> Self:
        have = {rule.reason for rule in PRESETS[self.preset].rules}
        if unknown := sorted(set(self.thresholds) - have):
            raise ValueError(f"thresholds: the preset {self.preset} has no rule {unknown[0]!s}")
        return self

    @property
    def in_force(self) -> tuple[Rule, ...]:
        """The rules, in the order in which they are asked."""
        rules = []
        for rule in PRESETS[self.preset].rules:
            threshold = self.thresholds.get(RuleReason(rule.reason), rule.threshold)
            if threshold is not None:
                rules.append(rule.at(threshold))
        return (*rules, *self.rules)

    @property
    def editing(self) -> Editing | None:
        """Which line rules rewrite texts; None for none."""
        return PRESETS[self.preset].editing if self.edit else None

    @property
    def own_lines(self) -> bool:
        """Whether line rules differ from those that stored signals were computed with."""
        return self.c4 != C4Lines() or self.refinedweb != RefinedWebLines()
