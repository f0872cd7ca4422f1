"""The stages of this package, in an order in which each comes after what it needs: from web pages to clean text."""

from __future__ import annotations

from curate.classifier.stages import STAGES as CLASSIFIER
from curate.decontamination.stages import STAGES as DECONTAMINATION
from curate.dedup.stages import STAGES as DEDUP
from curate.documents.stages import STAGES as DOCUMENTS
from curate.heuristics.stages import STAGES as SIGNALS
from curate.selection.stages import CLEAN, SELECT
from manifests.graph import Stage

STAGES: tuple[Stage, ...] = (*DOCUMENTS, *CLASSIFIER, *SIGNALS, *SELECT, *DEDUP, *DECONTAMINATION, *CLEAN)
