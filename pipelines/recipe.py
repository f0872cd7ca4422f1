"""The recipe: everything that a run's bytes depend on, and nothing else.

Each package defines the configuration of its own stages; this module puts them together and checks what only the whole
can tell, such as whether a mixture names sources that exist.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curate.classifier.config import (
    ClassifierConfig,
    LabelsConfig,
    LinksConfig,
    OtherClassifier,
    ReadClassifier,
    ScoresConfig,
)
from curate.decontamination.config import DecontaminationConfig
from curate.dedup.config import DedupRecipe
from curate.documents.config import ExtractConfig
from curate.documents.stages import EXTRACTOR_INPUT, parameters_field, prior_field
from curate.extraction.extractors import EXTRACTORS
from curate.heuristics.rules import unknown_signal
from curate.heuristics.signals import EXTERNAL, PERPLEXITY, SIGNAL_NAME, SIGNALS, TOXIC
from curate.heuristics.stages import FOLDERS, TOXIC_INPUT
from curate.perplexity.config import PerplexityCuts, PerplexityReading
from curate.plugins import SignalPlugin, plugin_facts, plugin_paths, validated
from curate.selection.config import SelectConfig
from curate.selection.stages import EDITS_INPUT
from curate.sources.config import OWN_KINDS, SOURCE_NAME, Patterns, SourceConfig, Sources
from curate.sources.http_config import HttpConfig
from curate.sources.kinds import TABLE
from curate.sources.s3 import S3Config
from curate.sources.url_config import BLOCKLIST_INPUT, OPTED_OUT_INPUT, pattern_of
from manifests.errors import InputError, RecipeError
from manifests.plugins import find, input_files
from tokenizer.bpe.train_config import TokenizerConfig
from tokenizer.encoding.config import EncodeConfig
from tokenizer.encoding.formats import tokenizer_files
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

    path: str | None = Field(None, description=(
        "fastText model of two labels or more (.bin, .ftz), or a hashed_lr of this project."))
    plugin: str | None = Field(None, description="Instead of a file: an installed plug-in that scores.")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Parameters of the plug-in.")

    @model_validator(mode="before")
    @classmethod
    def _path_or_plugin(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        plugin, given = fields.get("plugin"), fields.get("parameters")
        if (plugin is None) == (fields.get("path") is None):
            raise ValueError("needs one of `path` and `plugin`")
        if plugin is None and given:
            raise ValueError("parameters: a model's file has none")
        if plugin is not None and fields.get("label") is not None:
            raise ValueError("label: a plug-in decides itself what it scores")
        if not isinstance(plugin, str) or not isinstance(given, dict | None):
            return fields
        return {**fields, "parameters": validated("scorers", plugin, given or {})}

    def inputs(self, field: str) -> dict[str, Sequence[str]]:
        """Its files, by the fields that name them."""
        if self.plugin is not None:
            return dict(input_files(plugin_paths("scorers", self.plugin, self.parameters), f"{field}.parameters"))
        return {f"{field}.path": (self.path or "",)}

    def reading(self) -> ReadClassifier:
        """What of this scores depend on; the files themselves are inputs."""
        facts = None if self.plugin is None else plugin_facts("scorers", self.plugin, self.parameters)
        return ReadClassifier(label=self.label, max_bytes=self.max_bytes, facts=facts)


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
    signals: dict[Annotated[str, Field(pattern=SIGNAL_NAME)], SignalPlugin] = Field(default_factory=dict, description=(
        "Signals of installed plug-ins, by the names that rules read them by; `plugin` may be left out where it is the "
        "same."))
    select: SelectConfig = Field(default_factory=SelectConfig, description="Which documents go on.")
    dedup: DedupRecipe = Field(default_factory=DedupRecipe, description="Removal of duplicates.")
    decontaminate: DecontaminationConfig = Field(
        default_factory=DecontaminationConfig, description="How benchmark text is cut out.")
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig, description="The tokenizer.")
    encode: EncodeConfig = Field(default_factory=EncodeConfig, description="Encoding the clean corpus.")
    mixture: MixtureConfig = Field(description="What the training data is made of.")
    pack: PackConfig = Field(default_factory=PackConfig, description="Rows and shards.")

    @field_validator("signals", mode="before")
    @classmethod
    def _named_for_their_plugins(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"plugin": name, **(use or {})} if isinstance(use, dict | None) else use
                for name, use in value.items()}

    @model_validator(mode="before")
    @classmethod
    def _rows_have_an_order(cls, data: Any) -> Any:
        """The rows of tables stand in an order, and of two equal ones the first stays, as with single commands."""
        if not isinstance(data, dict) or not isinstance(data.get("sources"), dict):
            return data
        kinds = {s.get("kind") if isinstance(s, dict) else getattr(s, "kind", None) for s in data["sources"].values()}
        dedup = data.get("dedup", {})
        if kinds != {TABLE} or not isinstance(dedup, dict) or "survivor_order" in dedup:
            return data
        return {**data, "dedup": {**dedup, "survivor_order": ("source", "quality", "position")}}

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for name, source in self.sources.items():
            parent = source.derived_from
            if parent is not None and (parent not in self.sources or self.sources[parent].derived_from):
                raise ValueError(f"sources.{name}.from: no source with files of its own is called {parent!r}")
            if parent is not None and self.links is None and not source.page_types:
                raise ValueError(f"sources.{name}.from: a derived source needs `links` to match pages with, or "
                                 "`page_types`")
        known = set(self.sources)
        for field, names in (("mixture.weights", self.mixture.sources()),
                             ("mixture.max_epochs_by_source", self.mixture.max_epochs_by_source),
                             ("select.filtered_sources", self.select.filtered_sources or ()),
                             ("dedup.near_sources", self.dedup.near_sources or ()),
                             ("dedup.passage_sources", self.dedup.passage_sources or ())):
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
        own = {signal.name for signal in SIGNALS}
        if taken := sorted((own | FOLDERS) & set(self.signals)):
            raise ValueError(f"signals.{taken[0]}: is a name of the project's own; give it another, and its plug-in as "
                             "`plugin`")
        rules = self.select.rules.rules if self.select.rules else ()
        if problem := unknown_signal(rules, self.signals):
            raise ValueError(f"select.rules: {problem}; signals of plug-ins are named under `signals`")
        for rule in rules:
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
        inputs: dict[str, Sequence[str]] = {
            prior_field(name, i): (f"{folder.rstrip('/')}/**/*.parquet",)
            for name, source in self.sources.items() for i, folder in enumerate(source.decisions)}
        if self.links is not None:
            inputs["links.files"] = self.links.files
        for benchmark in self.decontaminate.benchmarks:
            inputs[f"decontaminate.benchmarks.{benchmark.name}"] = (benchmark.path,)
        for i, entry in enumerate(self.extract.urls.blocklists):
            inputs[f"{BLOCKLIST_INPUT}.{i}"] = (pattern_of(entry.path),)
        for i, path in enumerate(self.extract.robots.opted_out):
            inputs[f"{OPTED_OUT_INPUT}.{i}"] = (pattern_of(path),)
        for name, other in self.classifiers.items():
            inputs |= other.inputs(f"classifiers.{name}")
        if self.select.toxic_words is not None:
            inputs |= {TOXIC_INPUT + ("." + language if language else ""): files for language, files in (
                ("", self.select.toxic_words.files), *sorted(self.select.toxic_words.by_language.items())) if files}
        if self.perplexity is not None:
            for field, files_of in (("models", self.perplexity.models), ("pieces", self.perplexity.pieces)):
                inputs |= {f"perplexity.{field}.{language}": (path,) for language, path in sorted(files_of.items())}
        inputs |= input_files(self.extract.plugin_paths(), EXTRACTOR_INPUT)
        for name, source in self.sources.items():
            inputs |= input_files(source.plugin_paths(), parameters_field(name))
        for name, signal in self.signals.items():
            inputs |= signal.inputs(f"signals.{name}")
        for number, edit in enumerate(self.select.edits):
            inputs |= edit.inputs(f"{EDITS_INPUT}.{number}")
        if self.tokenizer.path is not None:
            inputs["tokenizer.path"] = _tokenizer_files(self.tokenizer.path)
        return inputs

    def plugins(self) -> dict[str, dict[str, str]]:
        """The plug-ins that the recipe names, as `group.name`: distribution, version and digest of its files."""
        used = {("extractors", self.extract.extractor)} if self.extract.extractor not in EXTRACTORS else set()
        used |= {("sources", source.kind) for source in self.sources.values() if source.kind not in OWN_KINDS}
        used |= {("scorers", other.plugin) for other in self.classifiers.values() if other.plugin is not None}
        used |= {(use.GROUP, use.plugin) for use in (*self.signals.values(), *self.select.edits)}
        facts = {(group, name): find(group, name).facts() for group, name in sorted(used)}
        return {f"{group}.{name}": {fact: value for fact, value in found.items() if fact != "plugin"}
                for (group, name), found in facts.items()}

    def selection(self) -> SelectConfig:
        """The configuration of selection, with the sources that the keep rule applies to; edits of plug-ins are a
        section of their own, which only the stage that makes them reads."""
        filtered = self.select.filtered_sources
        if filtered is None:
            filtered = tuple(self.by_source().crawled()) if self.classifier or self.select.keep else ()
        return self.select.model_copy(update={"filtered_sources": filtered, "edits": ()})

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
            "sources": self.by_source(), "http": self.http,
            "extract": self.extract.model_copy(update={"extractor_parameters": {}}),
            "extract.plugin": self.extract.plugin_facts(),
            "links": self.links and self.links.rules(), "labels": self.labels, "classifier": self.classifier,
            "classifiers": self.classifiers, "scores": self.scoring(),
            "signals": self.signals, "perplexity": self.perplexity and self.perplexity.reading(),
            "perplexity.cutoffs": self.perplexity and self.perplexity.cuts(), "select": self.selection(),
            "edits": self.select.edits,
            "dedup": self.dedup, "dedup.documents": self.dedup.documents(), "dedup.passages": self.dedup.shuffled(),
            "dedup.passage_decisions": self.dedup.cutting(), "dedup.substrings": self.dedup.substrings,
            "decontaminate": self.decontaminate, "tokenizer": self.tokenizer, "encode": self.encode,
            "mixture": self.mixture, "pack": self.pack}
