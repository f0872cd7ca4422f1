"""A run whose folder is a URL: published by PUTs, resumed from its records, the same bytes as on a disk."""

from __future__ import annotations

import json
from pathlib import Path

from manifests.storage import Storage
from pipelines.loading import validate
from pipelines.running import Settings, run

TEXT = "The library keeps a record of every book that was lent, and of the people who have taken it home with them. "


def test_a_run_behind_a_url_has_the_bytes_of_a_local_one(tmp_path: Path) -> None:
    lines = (json.dumps({"id": str(n), "text": f"Number {n}. {TEXT * 4} note {n * 7919}"}) for n in range(8))
    (tmp_path / "notes.jsonl").write_text("\n".join(lines))
    recipe = validate({
        "name": "tiny", "sources": {"notes": {"files": str(tmp_path / "notes.jsonl"), "curated": True}},
        "classifier": None, "dedup": {"partitions": 1, "max_removed_fraction": 1}, "tokenizer": {"vocab_size": 300},
        "mixture": {"weights": {"notes": 1}, "validation_fraction": 0},
        "pack": {"row_length": 16, "shard_tokens": 1024}})
    url = f"memory://{tmp_path.name}/run"
    assert run(recipe, url, Settings(engine="inline")).n_done > 20
    assert run(recipe, url, Settings(engine="inline")).n_done == 0
    run(recipe, str(tmp_path / "run"), Settings(engine="inline"))
    remote, local = Storage(url), Storage(str(tmp_path / "run"))
    outputs = [n for n in local.list("") if "_records/" not in n]
    assert [n for n in remote.list("") if "_records/" not in n] == outputs
    assert [n for n in outputs if remote.read_bytes(n) != local.read_bytes(n)] == []
