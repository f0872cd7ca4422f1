"""What a recipe says about the mixture: weights, epochs or tokens of each source, in one phase or in several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Weight = Annotated[float, Field(ge=0.0, le=1e9)]
Epochs = Annotated[float, Field(gt=0.0, le=1000.0)]
TokenCount = Annotated[int, Field(ge=0, le=1 << 62)]
MAX_SOURCES: Final = 1 << 15
MAX_PHASES: Final = 256

PRESETS: Final[Mapping[str, Mapping[str, float]]] = {
    # Radford et al. 2019, section 2.1: WebText alone.
    "gpt2": {"webtext": 100.0},
    # Brown et al. 2020 (arXiv 2005.14165), table 2.2: rounded, they sum to 101.
    "gpt3": {"common_crawl": 60.0, "webtext2": 22.0, "books1": 8.0, "books2": 8.0, "wikipedia": 3.0},
    # Touvron et al. 2023 (arXiv 2302.13971), table 1.
    "llama1": {"common_crawl": 67.0, "c4": 15.0, "github": 4.5, "wikipedia": 4.5, "books": 4.5, "arxiv": 2.5,
               "stackexchange": 2.0},
}
"""Sampling proportions of the papers' training data, in per cent, by the papers' names."""


class Amounts(BaseModel):
    """How much of each source: as shares, as passes over it, or as tokens. One of the three."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, Weight] = Field(
        default_factory=dict, max_length=MAX_SOURCES,
        description="Share of training tokens of each source, on any scale; 0 leaves a source out.")
    epochs: dict[str, Epochs] = Field(
        default_factory=dict, max_length=MAX_SOURCES,
        description="Instead of weights: passes over each source's training documents, fractions included.")
    tokens: dict[str, TokenCount] = Field(
        default_factory=dict, max_length=MAX_SOURCES,
        description="Instead of weights: training tokens of each source, one end-of-text counted with each document.")

    def names(self) -> dict[str, bool]:
        """Every source that is named, and whether it is given anything."""
        return {name: bool(value) for name, value in (self.weights or self.epochs or self.tokens).items()}

    def given(self) -> list[str]:
        """Which of the three were given."""
        return [f for f in ("weights", "epochs", "tokens") if getattr(self, f)]


class PhaseConfig(Amounts):
    """One phase of a staged mixture, such as the annealing on the best sources at the end of a training."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$", description="Name of the phase.")
    share: float | None = Field(
        None, gt=0.0, le=1e9, description="Its part of all training tokens, on the scale of the other phases' shares.")
    total_tokens: int | None = Field(
        None, ge=1, description="Instead of a share: its training tokens; only with weights.")

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        _check_amounts(self)
        says_total = bool(self.epochs or self.tokens)
        if says_total + (self.share is not None) + (self.total_tokens is not None) != 1:
            raise ValueError("a phase with weights needs one of share or total_tokens; one with epochs or tokens "
                             "needs neither")
        return self

    @property
    def is_relative(self) -> bool:
        return self.share is not None


class MixtureConfig(Amounts):
    """How much of each source the training split holds, and what is held out for validation."""

    preset: Literal["gpt2", "gpt3", "llama1"] | None = Field(
        None, description="Weights of a paper's table; weights given as well replace the paper's.")
    preset_sources: dict[str, str] = Field(
        default_factory=dict, description=(
            "What the recipe calls the preset's sources, by the paper's names; several may be one source, whose weight "
            "is then their sum."))
    phases: tuple[PhaseConfig, ...] = Field(
        (), max_length=MAX_PHASES, description=(
            "Instead of amounts for all: phases one after another, each with its own. A later phase goes on in a "
            "source where the one before it stopped."))
    total_tokens: int | None = Field(
        None, ge=1, description="Training tokens wanted; null takes as many as the sources and max_epochs allow.")
    max_epochs: Epochs = Field(
        4.0, description="Most passes over any source; the total shrinks until no source needs more.")
    max_epochs_by_source: dict[str, Epochs] = Field(
        default_factory=dict, description="Most passes over single sources, where they differ from max_epochs.")
    validation_fraction: float = Field(
        0.005, ge=0.0, lt=1.0,
        description="Probability that a document is held out; each such document is in the val split once.")

    @model_validator(mode="before")
    @classmethod
    def _preset_weights(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("preset") not in PRESETS:
            return data
        table, called = PRESETS[data["preset"]], data.get("preset_sources") or {}
        if unknown := sorted(set(called) - set(table)):
            raise ValueError(f"preset_sources: {data['preset']} has no source {unknown[0]!r}; it has "
                             f"{', '.join(table)}")
        weights: dict[str, Any] = {}
        for name, weight in table.items():
            own_name = called.get(name, name)
            weights[own_name] = weights.get(own_name, 0.0) + weight
        return {**data, "weights": {**weights, **(data.get("weights") or {})}}

    @model_validator(mode="after")
    def _one_amount(self) -> Self:
        if not self.phases:
            _check_amounts(self)
            if self.total_tokens is not None and not self.weights:
                raise ValueError("total_tokens goes with weights only: epochs and tokens say the total themselves")
            return self
        if self.given():
            raise ValueError(f"give {self.given()[0]} or phases, not both")
        if len({phase.name for phase in self.phases}) != len(self.phases):
            raise ValueError("two phases have one name")
        if len({phase.is_relative for phase in self.phases}) > 1:
            raise ValueError("phases: give every phase a share, or none")
        if self.total_tokens is not None and not self.phases[0].is_relative:
            raise ValueError("total_tokens goes with shares of phases; here the phases say the total themselves")
        return self

    def stages(self) -> tuple[tuple[str, Amounts], ...]:
        """The phases in order, by name; a mixture without phases is one phase called `all`."""
        return tuple((p.name, p) for p in self.phases) or (("all", self),)

    def sources(self) -> dict[str, bool]:
        """Every source that the mixture names, sorted, and whether any phase takes something of it."""
        used_by_name: dict[str, bool] = {}
        for _, amounts in self.stages():
            for name, used in amounts.names().items():
                used_by_name[name] = used_by_name.get(name, False) or used
        return dict(sorted(used_by_name.items()))


def _check_amounts(amounts: Amounts) -> None:
    given = amounts.given()
    if len(given) != 1:
        raise ValueError(f"give one of weights, epochs or tokens, not {' and '.join(given) or 'none'}")
    if not any(amounts.names().values()):
        raise ValueError("at least one source needs a weight above 0")
