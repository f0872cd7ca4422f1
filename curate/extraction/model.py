"""The model that the package ships: trees for the kind of a page, and two ensembles that judge its blocks in turn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from curate.extraction.context import CONTEXT
from curate.extraction.extracted import PAGE_TYPES, Content
from curate.extraction.facts import PAGE_FACTS
from curate.extraction.features import FEATURES
from curate.extraction.trees import Trees, trees_of
from manifests.errors import InputError

FORMAT: Final = 5
MODEL_FILE: Final = "model.json"
_CONTENTS: Final = tuple(str(content) for content in Content)


class Model(NamedTuple):
    """other: the second trees of contents other than `auto`.

    bounds: float64 [contents, page types, 3]: least and share, as of `choice.page_bound`, and the share of
    `choice.drawn_together`, by kind of page."""

    kinds: Trees
    first: Trees
    second: Trees
    other: Trees
    bounds: npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def load_model() -> Model:
    """The model that the package ships; the card, docs/extraction.md, says what it was trained on."""
    return model_of(json.loads(files("curate.extraction").joinpath(MODEL_FILE).read_text(encoding="ascii")))


def model_of(model: Mapping[str, Any]) -> Model:
    """The model of a file. Raises InputError where its format or its features are not this version's."""
    names = {"features": FEATURES, "context": CONTEXT, "facts": PAGE_FACTS, "page_types": PAGE_TYPES,
             "contents": _CONTENTS}
    if model["format"] != FORMAT or any(tuple(model.get(key, ())) != value for key, value in names.items()):
        raise InputError("was trained on other features than this version computes", where=MODEL_FILE,
                         hint="rebuild it: python -m scripts.extraction_model.train")
    return Model(trees_of(model["kinds"]), trees_of(model["first"]), trees_of(model["second"]),
                 trees_of(model["other"]), np.array(model["bounds"], np.float64))
