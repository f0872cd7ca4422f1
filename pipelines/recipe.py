"""The recipe: everything that a run's bytes depend on, and nothing else.

Each package defines the configuration of its own stages; this module puts them together and checks what only the whole
can tell, such as whether a mixture names sources that exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from curate.classifier.config import ClassifierConfig, LabelsConfig, LinksConfig, OtherClassifier, ScoresConfig
from curate.decontamination.config import DecontaminationConfig
from curate.dedup.config import DedupRecipe
from curate.documents.config import ExtractConfig
from curate.heuristics.signals import EXTERNAL, PERPLEXITY, TOXIC
from curate.heuristics.stages import TOXIC_INPUT
from curate.perplexity.config import PerplexityCuts, PerplexityReading
from curate.selection.config import SelectConfig
from curate.sources.blocklists import pattern_of
from curate.sources.config import SOURCE_NAME, Patterns, SourceConfig, Sources
from curate.sources.http import HttpConfig
from curate.sources.s3 import S3Config
from curate.sources.url_rules import BLOCKLIST_INPUT, OPTED_OUT_INPUT
from manifests.errors import InputError, RecipeError
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.formats import tokenizer_files
from tokenizer.encoding.tokens import EncodeConfig
from tokenizer.mixture.mixture_config import MixtureConfig
from tokenizer.packing.config import PackConfig


def _tokenizer_files(path: str) -> tuple[str, ...]:
    try:
        return tokenizer_files(path)
    except InputError as error:
        raise RecipeError(f"{path}: {error.what}", where="tokenizer.path", hint=error.hint) from error




class LinksRecipe(LinksConfig):
    """Links that people found worth posting: Reddit submission dumps, as WebText used them."""

    files: Patterns = Field(
        min_length=1, description="Pushshift submission dumps (.zst, .gz or plain JSON Lines). One or a list.")

    def rules(self) -> LinksConfig:
        """What of this the stages depend on; the files themselves are inputs."""
        return LinksConfig(**{name: getattr(self, name) for name in LinksConfig.model_fields})


class ClassifierFile(OtherClassifier):
    """A model that somebody else trained, whose score becomes the column `quality_<name>`."""

    path: str = Field(description="fastText model of two labels or more (.bin, .ftz), or a hashed_lr of this project.")

    def reading(self) -> OtherClassifier:
        """What of this scores depend on; the file itself is an input."""
        return OtherClassifier(label=self.label, max_bytes=self.max_bytes)


class PerplexityRecipe(PerplexityReading, PerplexityCuts):
    """Language models of the user's own, under which documents get the signal `perplexity`."""

    models: dict[str, str] = Field(min_length=1, description=(
        "N-gram models by ISO 639-1 code, which the extra `kenlm` reads: .arpa, .arpa.gz, or KenLM's binary form."))
    pieces: dict[str, str] = Field(default_factory=dict, description=(
        "SentencePiece models by ISO 639-1 code, for language models over pieces, such as CCNet's (needs the extra "
        "`sentencepiece`)."))

    @model_validator(mode="after")
    def _pieces_of_models(self) -> Self:
        if unknown := sorted({*self.pieces, *self.cutoffs} - set(self.models)):
            raise ValueError(f"perplexity: no language model for {unknown[0]!r}")
        return self

    def reading(self) -> PerplexityReading:
        """What the signal depends on; the files themselves are inputs."""
        return PerplexityReading(**{name: getattr(self, name) for name in PerplexityReading.model_fields})

    def cuts(self) -> PerplexityCuts:
        """What head, middle and tail depend on."""
        return PerplexityCuts(**{name: getattr(self, name) for name in PerplexityCuts.model_fields})


class Recipe(BaseModel):
    """A whole pipeline, from files to packed shards. Where a group is left out, its defaults hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=SOURCE_NAME, description="Name of the recipe; a run's folder belongs to one name.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of every decision that is left to chance.")
    variables: dict[str, str] = Field(
        default_factory=dict, description=(
            "Names that `${name}` stands for elsewhere, with defaults; --set name=value changes one."))
    http: HttpConfig = Field(
        default_factory=HttpConfig, description="How files are fetched over HTTP; no output depends on it.")
    s3: S3Config = Field(default_factory=S3Config, description="How s3:// is reached; no output depends on it.")
    sources: dict[Annotated[str, Field(pattern=SOURCE_NAME)], SourceConfig] = Field(
        min_length=1, description="Sources by name, in order of trust.")
    links: LinksRecipe | None = Field(None, description="Reddit links; without them only curated sources are positive.")
    labels: LabelsConfig = Field(default_factory=LabelsConfig, description="Which pages count as linked.")
    extract: ExtractConfig = Field(default_factory=ExtractConfig, description="From files to documents.")
    classifier: ClassifierConfig | None = Field(
        default_factory=ClassifierConfig,
        description="The quality classifier; null for none, and then nothing is dropped by score.")
    classifiers: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], ClassifierFile] = Field(
        default_factory=dict, description="Classifiers beside the run's own: domain, education, DCLM's and the like.")
    perplexity: PerplexityRecipe | None = Field(None, description=(
        "Perplexity under language models, and CCNet's head, middle and tail; null for none."))
    select: SelectConfig = Field(default_factory=SelectConfig, description="Which documents go on.")
    dedup: DedupRecipe = Field(default_factory=DedupRecipe, description="Removal of duplicates.")
    decontaminate: DecontaminationConfig = Field(
        default_factory=DecontaminationConfig, description="How benchmark text is cut out.")
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig, description="The tokenizer.")
    encode: EncodeConfig = Field(default_factory=EncodeConfig, description="Encoding the clean corpus.")
    mixture: MixtureConfig = Field(description="What the training data is made of.")
    pack: PackConfig = Field(default_factory=PackConfig, description="Rows and shards.")

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, source in self.sources.items():
            parent = source.derived_from
            if parent is not None and (parent not in self.sources or self.sources[parent].derived_from):
                raise ValueError(f"sources.{name}.from: no source with files of its own is called {parent!r}")
            if parent is not None and self.links is None:
                raise ValueError(f"sources.{name}.from: a derived source needs `links` to match pages with")
        known = set(self.sources)
        for field, names in (("mixture.weights", self.mixture.sources()),
                             ("mixture.max_epochs_by_source", self.mixture.max_epochs_by_source),
                             ("select.filtered_sources", self.select.filtered_sources or ())):
            if unknown := sorted(set(names) - known):
                raise ValueError(f"{field}: no source is called {unknown[0]!r}; sources are {', '.join(sorted(known))}")
        scored = {*self.classifiers, *(["quality"] if self.classifier else [])}
        for number, rule in enumerate(self.select.keep):
            if rule.score not in scored:
                raise ValueError(f"select.keep.{number}.score: no classifier is called {rule.score!r}; there are "
                                 f"{', '.join(sorted(scored)) or 'none'}")
        if {"quality", "score"} & set(self.classifiers):
            raise ValueError("classifiers: `quality` and `score` are names of the run's own classifier")
        return self

    @model_validator(mode="after")
    def _signals_exist(self) -> Self:
        available = {*([PERPLEXITY] if self.perplexity else []), *([TOXIC] if self.select.toxic_words else [])}
        for rule in self.select.rules.rules if self.select.rules else ():
            if rule.signal in EXTERNAL and rule.signal not in available:
                raise ValueError(f"select.rules.{rule.reason}: the signal {rule.signal!r} needs `perplexity` or "
                                 "`select.toxic_words`")
        if self.select.perplexity_buckets is not None and self.perplexity is None:
            raise ValueError("select.perplexity_buckets: needs `perplexity` with a language model")
        return self

    @model_validator(mode="after")
    def _positives_exist(self) -> Self:
        if self.classifier is not None and self.links is None and not any(s.curated for s in self.sources.values()):
            raise ValueError("classifier: no positive examples: give `links`, mark a source `curated: true`, or set "
                             "classifier: null")
        return self

    def other_files(self) -> dict[str, Sequence[str]]:
        """Patterns of input files that are no source, by the field that names them."""
        inputs: dict[str, Sequence[str]] = {}
        if self.links is not None:
            inputs["links.files"] = self.links.files
        for benchmark in self.decontaminate.benchmarks:
            inputs[f"decontaminate.benchmarks.{benchmark.name}"] = (benchmark.path,)
        for i, entry in enumerate(self.extract.urls.blocklists):
            inputs[f"{BLOCKLIST_INPUT}.{i}"] = (pattern_of(entry.path),)
        for i, path in enumerate(self.extract.robots.opted_out):
            inputs[f"{OPTED_OUT_INPUT}.{i}"] = (pattern_of(path),)
        for name, other in self.classifiers.items():
            inputs[f"classifiers.{name}.path"] = (other.path,)
        if self.select.toxic_words is not None:
            inputs |= {TOXIC_INPUT + ("." + language if language else ""): files for language, files in (
                ("", self.select.toxic_words.files), *sorted(self.select.toxic_words.by_language.items())) if files}
        if self.perplexity is not None:
            for field, files_of in (("models", self.perplexity.models), ("pieces", self.perplexity.pieces)):
                inputs |= {f"perplexity.{field}.{language}": (path,) for language, path in sorted(files_of.items())}
        if self.tokenizer.path is not None:
            inputs["tokenizer.path"] = _tokenizer_files(self.tokenizer.path)
        return inputs

    def selection(self) -> SelectConfig:
        """The configuration of selection, with the sources that the keep rule applies to."""
        if self.select.filtered_sources is not None:
            return self.select
        filtered = self.by_source().crawled() if self.classifier or self.select.keep else ()
        return self.select.model_copy(update={"filtered_sources": tuple(filtered)})

    def scoring(self) -> ScoresConfig:
        """Which classifiers score documents beside the run's own, and how each is fed."""
        return ScoresConfig(classifiers={name: other.reading() for name, other in sorted(self.classifiers.items())})

    @property
    def digest(self) -> str:
        """sha256 of the resolved recipe, 64 hex digits: what packed manifests name. How files are fetched is no part
        of it."""
        fields = self.model_dump(mode="json", by_alias=True, exclude={"http", "s3"})
        return hashlib.sha256(yaml.safe_dump(fields, sort_keys=True, allow_unicode=True).encode()).hexdigest()

    def by_source(self) -> Sources:
        """The sources with the questions that stages ask of them."""
        return Sources(self.sources)

    def sections(self) -> dict[str, Any]:
        """What the recipe says, by the names under which stages depend on it: a group of fields, or that part of one
        which a stage's outputs depend on."""
        return {
            "sources": self.by_source(), "http": self.http, "extract": self.extract,
            "links": self.links and self.links.rules(), "labels": self.labels, "classifier": self.classifier,
            "classifiers": self.classifiers, "scores": self.scoring(),
            "perplexity": self.perplexity and self.perplexity.reading(),
            "perplexity.cutoffs": self.perplexity and self.perplexity.cuts(), "select": self.selection(),
            "dedup": self.dedup, "dedup.documents": self.dedup.documents(), "dedup.passages": self.dedup.shuffled(),
            "dedup.passage_decisions": self.dedup.cutting(), "dedup.substrings": self.dedup.substrings,
            "decontaminate": self.decontaminate, "tokenizer": self.tokenizer, "encode": self.encode,
            "mixture": self.mixture, "pack": self.pack}
