"""Every stage of the pipeline, in order: the lists of the packages, put together."""

from __future__ import annotations

from curate.stages import STAGES as CURATE
from manifests.graph import Stage
from tokenizer.stages import STAGES as TOKENIZER

STAGES: tuple[Stage, ...] = (*CURATE, *TOKENIZER)
"""In an order in which every stage comes after what it needs; a stage starts as soon as that is done."""
