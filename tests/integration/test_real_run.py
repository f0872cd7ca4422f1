"""The gpt3 recipe on two archives of real pages, where they are at hand."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest

from manifests.tables import read_table
from manifests.verify import verify
from pipelines.loading import load_recipe
from pipelines.running import Settings, run
from tests.paths import DATA


@pytest.mark.skipif(not (DATA / "crawl").is_dir(), reason=f"no real pages in {DATA}")
def test_the_gpt3_recipe_on_real_pages(tmp_path: Path) -> None:
    recipe = load_recipe("gpt3", [f"data={DATA}", f"sources.crawl.files={DATA}/crawl/part-0000[01].warc.gz"])
    result = run(recipe, str(tmp_path / "run"), Settings(engine="inline"))
    assert result.exit_code == 0
    assert result.view.counters("extract")["html_pages"] > 1400
    assert [f for f in verify(str(tmp_path / "run")) if f.problem] == []
    manifest = read_table(str(tmp_path / "run/packed/manifest.parquet"))
    train = manifest.filter(pc.equal(manifest["split"], "train"))
    assert pc.sum(train["n_tokens"]).as_py() > 100_000
    for source in read_table(str(tmp_path / "run/packed/sources.parquet")).to_pylist():
        assert source["epochs"] <= 4
        assert abs(source["realised_share"] - source["requested_weight"]) < 0.005
    counters = result.view.counters("packed/dataset")
    assert counters["train_selected_tokens"] == counters["train_packed_tokens"] + counters["train_dropped_tokens"]
    assert result.view.counters("tokens")["encoder_fallback"] == 0
