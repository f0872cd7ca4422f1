"""Read one export with the format's official reader and print what it saw as JSON. Runs in the exports environment.

    python read_back.py FORMAT FOLDER ROW_LENGTH TOKEN_BYTES
"""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np


def megatron(folder: Path, row_length: int, token_bytes: int) -> Any:
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    found: dict[str, list[list[int]]] = {"train": [], "val": []}
    for index in sorted(folder.rglob("*.idx")):
        prefix = index.relative_to(folder).with_suffix("")
        data = IndexedDataset(str(folder / prefix))
        assert data.document_indices.tolist() == list(range(len(data) + 1))
        found[str(prefix).split("/")[0]] += [data[i].tolist() for i in range(len(data))]
    return found


def olmo(folder: Path, row_length: int, token_bytes: int) -> Any:
    from olmo_core.data import NumpyFSLDataset
    from olmo_core.data.utils import iter_document_indices

    facts = json.loads((folder / "export.json").read_text())
    dtype = {2: np.uint16, 4: np.uint32}[token_bytes]
    found: dict[str, Any] = {}
    for split in ("train", "val"):
        paths = sorted(str(p) for p in (folder / split).glob("*.npy"))
        data = NumpyFSLDataset(*paths, sequence_length=row_length, pad_token_id=facts["eot_id"],
                               eos_token_id=facts["eot_id"], vocab_size=facts["vocab_size"], dtype=dtype)
        documents = []
        for path in paths:
            tokens = np.fromfile(path, f"<u{token_bytes}")
            documents += [tokens[a:b].tolist() for a, b in iter_document_indices(
                path, use_array_if_local=False, eos_token_id=facts["eot_id"], dtype=dtype)]
        found[split] = {"rows": [data[i]["input_ids"].tolist() for i in range(len(data))], "documents": documents}
    return found


def datatrove(folder: Path, row_length: int, token_bytes: int) -> Any:
    from datatrove.utils.dataset import DatatroveFolderDataset

    found: dict[str, Any] = {}
    for split in ("train", "val"):
        data = DatatroveFolderDataset(str(folder / split), seq_len=row_length, token_size=token_bytes,
                                      return_positions=True, shuffle=False)
        rows = [data[i] for i in range(len(data))]
        found[split] = [[r["input_ids"].tolist(), r["positions"].tolist()] for r in rows]
    return found


def mds(folder: Path, row_length: int, token_bytes: int) -> Any:
    # The library imports torchvision for its image data sets, and no build of it goes with every build of torch.
    for name in ("torchvision", "torchvision.datasets", "torchvision.datasets.folder", "torchvision.transforms",
                 "torchvision.transforms.functional"):
        sys.modules[name] = MagicMock(__spec__=ModuleSpec(name, None), VisionDataset=object)
    from streaming import StreamingDataset

    found = {}
    for split in ("train", "val"):
        data = StreamingDataset(local=str(folder / split), shuffle=False, batch_size=1, validate_hash="sha1",
                                allow_unsafe_types=False)
        found[split] = [data[i]["tokens"].tolist() for i in range(data.num_samples)]
    return found


def litdata(folder: Path, row_length: int, token_bytes: int) -> Any:
    from litdata import StreamingDataset
    from litdata.streaming.item_loader import TokensLoader

    found = {}
    for split in ("train", "val"):
        data = StreamingDataset(str(folder / split), item_loader=TokensLoader(block_size=row_length), shuffle=False,
                                drop_last=False)
        found[split] = [[int(t) for t in data[i]] for i in range(len(data))]
    return found


def hf(folder: Path, row_length: int, token_bytes: int) -> Any:
    from datasets import load_dataset

    files = {split: str(folder / split / "*.parquet") for split in ("train", "val")}
    data = load_dataset("parquet", data_files=files, cache_dir=str(folder.parent / "hf-cache"))
    return {split: [data[split]["input_ids"][:], data[split]["cu_seqlens"][:]] for split in files}


READERS = {f.__name__: f for f in (megatron, olmo, datatrove, mds, litdata, hf)}

if __name__ == "__main__":
    result = READERS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    print("RESULT " + json.dumps(result))
