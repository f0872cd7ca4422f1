"""The stages of this package, in an order in which each comes after what it needs: from clean text to packed rows."""

from __future__ import annotations

from manifests.graph import Stage
from tokenizer.bpe.stages import STAGES as BPE
from tokenizer.encoding.stages import STAGES as ENCODING
from tokenizer.mixture.stages import STAGES as MIXTURE
from tokenizer.packing.stages import STAGES as PACKING

STAGES: tuple[Stage, ...] = (*BPE, *ENCODING, *MIXTURE, *PACKING)
