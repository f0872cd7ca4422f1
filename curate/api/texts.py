"""Functions of single texts: what comes out of one depends on that text alone, so any batch of them gives the same.

They run what the stages run, on slices of some megabytes, and hold no state but loaded models: threads may share them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, overload

import numpy as np
import pyarrow as pa

from curate.classifier.lines import classifier_lines
from curate.classifier.scorers import load_scorer
from curate.classifier.scores import reading_of
from curate.dedup.config import DedupConfig
from curate.dedup.signing import minhash as signatures_of
from curate.documents.config import ExtractConfig
from curate.documents.normalise import normalise
from curate.documents.pages import Verdict, extractor_of_plugin, read_page
from curate.extraction.extractors import EXTRACTORS, Extract
from curate.heuristics.computed import signals as computed_signals
from curate.heuristics.signals import SIGNAL_FIELDS, Words
from curate.language.codes import codes_of
from curate.language.identify import identify
from curate.text.strings import strings_array
from manifests.arrow import as_column, as_texts, text_slices
from manifests.errors import InputError, RecipeError
from manifests.plugins import load_here
from manifests.settings import settings

LANGUAGES = pa.schema([
    pa.field("language", pa.string(), metadata={"comment": "ISO 639-1 code, or 639-3 where there is none"}),
    pa.field("language_score", pa.float32(), metadata={"comment": "mean probability of the language over windows"}),
    pa.field("language_share", pa.float32(), metadata={
        "comment": "characters in lines that are not surely of another language"}),
])


@overload
def extract_text(html: str | bytes, url: str | None = None, *, extractor: str = ..., charset: str | None = ...,
                 parameters: Mapping[str, Any] = ..., content: str = ..., format: str = ...) -> str: ...
@overload
def extract_text(html: Any, url: Any = None, *, extractor: str = ..., charset: str | None = ...,
                 parameters: Mapping[str, Any] = ..., content: str = ...,
                 format: str = ...) -> pa.LargeStringArray: ...
def extract_text(html: Any, url: Any = None, *, extractor: str = "blocks", charset: str | None = None,
                 parameters: Mapping[str, Any] = MappingProxyType({}), content: str = "auto",
                 format: str = "text") -> str | pa.LargeStringArray:
    """The main content of pages as text, normalised: what the stage `extract` gives for the same bytes.

    Args:
        html: One page, as str or bytes in any encoding; or a column of pages [n], of bytes or strings.
        url: Where each page is from, a string or a column of them [n]; errors name it.
        extractor: What chooses the content: `blocks`, `resiliparse`, `trafilatura`, or the name of a plug-in's.
        charset: What HTTP says of the encoding of bytes, if it does.
        parameters: Of a plug-in's extractor.
        content: What counts as text, as in a recipe's `extract.content`: `auto`, `article` or `everything`.
        format: How it is written: `text` or `markdown`.
    Returns:
        The text of one page, empty where it has none; or large_string [n], null for a page that is null or that the
        stage would refuse to parse.
    Raises:
        InputError: One page would be refused: too large, too deep, too many tags or attributes; or there is no such
            column.
        RecipeError: There is no such extractor, content or format, or it has no such parameters.
        StageError: A plug-in's extractor fails.
    """
    config = settings(ExtractConfig, {
        "extractor": extractor, "extractor_parameters": dict(parameters), "content": content, "format": format},
        "extract_text")
    extract = None if extractor in EXTRACTORS else extractor_of_plugin(
        load_here("extractors", extractor, parameters, "extract_text()", EXTRACTORS))
    if isinstance(html, str | bytes):
        page = _page(html, charset, config, extract)
        if page.reason is not None:
            limit = "" if page.value is None else f": {page.value:,.0f}, where {page.threshold:,.0f} are read"
            raise InputError(f"the page is not parsed, {page.reason}{limit}", where=url)
        return normalise(strings_array([page.text]), config.normalise).texts[0].as_py()
    pages = as_column(html, "html")
    if not _is_text_or_bytes(pages.type):
        raise InputError(f"is a column of {pages.type}, not of bytes or strings", where="html")
    values = (page.as_py() for page in pages)
    texts = [None if value is None else _page(value, charset, config, extract).text for value in values]
    return normalise(strings_array(texts), config.normalise).texts


def _page(html: str | bytes, charset: str | None, config: ExtractConfig, extract: Extract | None) -> Verdict:
    if isinstance(html, str):
        html, charset = html.encode("utf-8", "replace"), "utf-8"
    return read_page(html, charset, config, extract)


def _is_text_or_bytes(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_binary,
        pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_null))


def signals(texts: Any, languages: Any = None, *, words: str = "paper") -> pa.Table:
    """The heuristic signals of texts, which published filters are made of; docs/filters.md describes each.

    Args:
        texts: A column of strings [n]; a null counts as empty.
        languages: ISO 639-1 codes [n], which decide the stop words of `signal_stop_word_fraction`; English without.
        words: What counts as a word: `paper`, or `datatrove` for exactly its counts.
    Returns:
        float32 columns `signal_*`, n rows.
    Raises:
        InputError: There is no such column, or the two have different lengths.
        RecipeError: There is no such way of counting.
    """
    if words not in {kind.value for kind in Words}:
        raise RecipeError(f"is not a way of counting words: {words!r}", where="words", hint="paper or datatrove")
    strings = as_texts(texts)
    codes = None if languages is None else as_texts(languages, "languages").cast(pa.string())
    if codes is not None and len(codes) != len(strings):
        raise InputError(f"has {len(codes)} rows, where texts have {len(strings)}", where="languages")
    tables = [computed_signals(strings[a:b], Words(words), None if codes is None else codes[a:b])
              for a, b in text_slices(strings)]
    return pa.concat_tables(tables).cast(pa.schema(SIGNAL_FIELDS))


def identify_language(texts: Any, *, model: str | None = None) -> pa.Table:
    """The language of each text, judged by three windows of it.

    Args:
        texts: A column of strings [n].
        model: Path of a fastText model (.bin, .ftz); by default lid.176 in the cache (`curate models fetch`).
    Returns:
        language string, language_score and language_share float32; all null for a text without a visible character.
    Raises:
        InputError: There is no such column or model.
    """
    strings = as_texts(texts)
    tables = []
    for start, end in text_slices(strings):
        found = identify(strings[start:end], model)
        tables.append(pa.table([codes_of(found.labels), found.scores, found.shares], schema=LANGUAGES))
    return pa.concat_tables(tables).combine_chunks()


def minhash(texts: Any, *, n_permutations: int = 128, ngram: int = 5, shingles: str = "words",
            signature: str = "affine32", seed: int = 1) -> pa.FixedSizeListArray:
    """MinHash signatures of texts, those that deduplication compares.

    Args:
        texts: A column of strings [n]; a null counts as empty.
        n_permutations: K, minima of a signature.
        ngram: Words or characters of a shingle.
        shingles: `words` or `characters`.
        signature: `affine32` (datasketch 2's scheme) or `datatrove64`.
        seed: Of the permutations, as datasketch takes it.
    Returns:
        Lists of K uint32 (of datatrove64: uint64) [n]; all ones for a text without words.
    Raises:
        InputError: There is no such column.
        RecipeError: A setting is out of its range.
    """
    fields = {"n_permutations": n_permutations, "ngram": ngram, "shingles": shingles, "signature": signature,
              "seed": seed}
    config = settings(DedupConfig, fields, "minhash")
    strings = as_texts(texts)
    minima = np.concatenate([signatures_of(strings[a:b], config) for a, b in text_slices(strings)])
    return pa.FixedSizeListArray.from_arrays(pa.array(minima.ravel()), n_permutations)


def score(texts: Any, model: str, *, label: str | None = None, max_bytes: int | None = None) -> pa.FloatArray:
    """Probability of the positive label under a classifier.

    Args:
        texts: A column of strings [n]; a null counts as empty.
        model: A model of fastText (.bin, .ftz), or one that this project trained; local path or URL.
        label: The positive label; by default the one that the card beside the model names, or the usual ones.
        max_bytes: UTF-8 bytes after which a normalised text is cut; by default what the card says, and without a card
            the whole text as it is, as models of others take it.
    Returns:
        float32 [n].
    Raises:
        InputError: There is no such column or model, or it has no such label.
    """
    strings = as_texts(texts)
    label, max_bytes = reading_of(model, label, max_bytes)
    scorer = load_scorer(model, label)
    scores = np.zeros(len(strings), np.float32)
    for start, end in text_slices(strings):
        lines = strings[start:end]
        scores[start:end] = scorer.score(lines if max_bytes is None else classifier_lines(lines, max_bytes))
    return pa.array(scores)
