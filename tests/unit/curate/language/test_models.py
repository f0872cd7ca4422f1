"""Language models of other makers: real fastText models, trained here, whose labels are named as theirs are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fasttext
import pyarrow.parquet as pq
import pytest

from curate.language.codes import language_code, wanted_labels
from curate.why import explain
from pipelines.loading import validate
from pipelines.running import Result, Settings, run

SENTENCES = {
    "eng": ("the boats lay in the harbour all morning and nobody spoke of the storm that was coming from the west",
            "she wrote a letter to her brother every week and asked him what the weather was like on the island"),
    "est": ("paadid seisid terve hommiku sadamas ja keegi ei rääkinud tormist mis läänest lähenes külale",
            "ta kirjutas igal nädalal oma vennale kirja ja küsis missugune on ilm saarel praegu sügise ajal"),
    "zho": ("船 整个 上午 都 停 在 港口 里 没有 人 谈论 从 西边 来 的 暴风雨",
            "她 每 周 给 她 的 兄弟 写 一封 信 问 他 岛上 的 天气 怎么样"),
}
MAKERS = {
    "GlotLID": {"eng": "eng_Latn", "est": "ekk_Latn", "zho": "cmn_Hani"},
    "OpenLID": {"eng": "eng_Latn", "est": "est_Latn", "zho": "zho_Hans"},
    "bare": {"eng": "eng", "est": "est", "zho": "zho"},
}


def words(language: str, seed: int, n: int = 14) -> str:
    """Some words of a language, other ones for another seed."""
    known = " ".join(SENTENCES[language]).split()
    return " ".join(known[(seed * 7 + i * (3 + seed % 5)) % len(known)] for i in range(n))


@pytest.fixture(scope="module", params=list(MAKERS))
def labels_and_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory,
                     ) -> tuple[dict[str, str], str]:
    labels = MAKERS[request.param]
    folder = tmp_path_factory.mktemp("lid")
    lines = [f"__label__{labels[language]} {words(language, seed)}" for seed in range(60) for language in SENTENCES]
    (folder / "train.txt").write_text("\n".join(lines))
    model = fasttext.train_supervised(str(folder / "train.txt"), dim=8, minn=2, maxn=4, epoch=10, lr=0.5, bucket=2000,
                                      thread=1, verbose=0)
    model.save_model(str(folder / "model.bin"))
    return labels, str(folder / "model.bin")


def extracted(folder: Path, model: str, sources: dict[str, list[str] | None], **extract: Any) -> Result:
    lines = [json.dumps({"id": f"{language}{n}", "text": words(language, 100 + n, 40)})
             for n in range(4) for language in SENTENCES]
    (folder / "texts.jsonl").write_text("\n".join(lines))
    files = str(folder / "texts.jsonl")
    recipe = validate({
        "name": "languages", "classifier": None, "mixture": {"weights": dict.fromkeys(sources, 1)},
        "sources": {name: {"files": files, **({"languages": wanted} if wanted else {})}
                    for name, wanted in sources.items()},
        "extract": {"language_model": model, **extract}})
    return run(recipe, str(folder / "run"), Settings(engine="inline", until="extract"))


def documents(folder: Path, source: str) -> list[dict[str, Any]]:
    (path,) = (folder / f"run/extract/{source}").glob("*/part-*.parquet")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_codes_mean_the_same_whatever_the_model_calls_them(labels_and_model: tuple[dict[str, str], str],
                                                          tmp_path: Path) -> None:
    labels, model = labels_and_model
    extracted(tmp_path, model, {"english": ["en"], "estonian": ["est"], "named": [labels["zho"]], "default": None})
    for source, language, code in (("english", "eng", "en"), ("estonian", "est", "et"), ("named", "zho", "zh"),
                                   ("default", "eng", "en")):
        found = documents(tmp_path, source)
        assert {d["record_id"] for d in found} == {f"{language}{n}" for n in range(4)}
        assert {d["language"] for d in found} == {code}


def test_every_document_bears_its_code_where_all_are_kept(labels_and_model: tuple[dict[str, str], str],
                                                         tmp_path: Path) -> None:
    result = extracted(tmp_path, labels_and_model[1], {"all": None}, languages=None, min_language_score=0)
    assert result.exit_code == 0
    assert [d["language"] for d in documents(tmp_path, "all")] == ["en", "et", "zh"] * 4


@pytest.mark.parametrize(("label", "code"), [
    ("en", "en"), ("eng", "en"), ("eng_Latn", "en"), ("arb_Arab", "ar"), ("ary_Arab", "ary"), ("cmn_Hani", "zh"),
    ("zho_Hant", "zh"), ("yue_Hant", "yue"), ("als", "als"), ("als_Latn", "sq"), ("hrv_Latn", "hr"), ("ceb", "ceb"),
    ("ceb_Latn", "ceb"), ("nob_Latn", "nb"), ("und_Zzzz", "und"), ("zh-Hans", "zh-Hans"), ("", "")])
def test_codes_of_labels(label: str, code: str) -> None:
    assert language_code(label) == code


def test_what_a_recipe_means() -> None:
    labels = ["eng_Latn", "srp_Latn", "srp_Cyrl", "arb_Arab", "ary_Arab", "als"]
    assert wanted_labels(labels, ["en"]) == ["eng_Latn"]
    assert wanted_labels(labels, ["sr", "eng"]) == ["eng_Latn", "srp_Latn", "srp_Cyrl"]
    assert wanted_labels(labels, ["srp_Cyrl", "ar"]) == ["srp_Cyrl", "arb_Arab"]
    assert wanted_labels(["en", "sr", "als"], ["eng_Latn", "sq"]) == []


NOISE = {"GlotLID": "zxx_Zzzz", "OpenLID": "zxx_Zxxx", "bare": "und"}


@pytest.fixture(scope="module", params=list(NOISE))
def model_with_noise(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that knows what is in no language, as those of GlotLID and OpenLID do."""
    labels, folder = MAKERS[request.param], tmp_path_factory.mktemp("noise")
    lines = [f"__label__{labels[language]} {words(language, seed)}" for seed in range(60) for language in SENTENCES]
    noise = NOISE[request.param]
    lines += [f"__label__{noise} qx{seed} zzkv{seed % 7} wxq jjq{seed % 5} vvk qqz" for seed in range(60)]
    (folder / "train.txt").write_text("\n".join(lines))
    fasttext.train_supervised(str(folder / "train.txt"), dim=16, minn=2, maxn=4, epoch=25, lr=0.5, bucket=2000,
                              thread=1, verbose=0).save_model(str(folder / "model.bin"))
    return str(folder / "model.bin")


def exclusions(folder: Path, source: str) -> list[dict[str, Any]]:
    (path,) = (folder / f"run/extract/{source}/exclusions").glob("*/part-*.parquet")
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_no_language_is_an_outcome_and_exclusions_say_which_language(model_with_noise: str, tmp_path: Path) -> None:
    texts = {"en": words("eng", 200, 40), "et": words("est", 200, 40), "noise": "wxq jjq3 vvk qqz zzkv2 wxq vvk " * 6,
             "figures": "12.5 13.7 99.0 (11.2) " * 9, "blank": " "}
    (tmp_path / "t.jsonl").write_text("".join(json.dumps({"id": k, "text": t}) + "\n" for k, t in texts.items()))
    files = str(tmp_path / "t.jsonl")
    recipe = validate({
        "name": "noise", "classifier": None, "mixture": {"weights": {"english": 1, "all": 1}},
        "sources": {"english": {"files": files}, "all": {"files": files, "filter_language": False}},
        "extract": {"language_model": model_with_noise}})
    assert run(recipe, str(tmp_path / "run"), Settings(engine="inline", until="extract")).exit_code == 0
    assert [d["record_id"] for d in documents(tmp_path, "english")] == ["en"]
    dropped = exclusions(tmp_path, "english")
    assert [(d["reason"], d["language"] or "") for d in dropped] == [
        ("language", "et"), ("no_language", dropped[1]["language"]), ("no_language", "zxx"), ("no_text", "")]
    assert dropped[1]["language"] in ("zxx", "und")
    assert dropped[0]["language_score"] == pytest.approx(dropped[0]["value"])
    assert dropped[3]["language_score"] is None
    assert [d["language"] for d in documents(tmp_path, "all")] == ["en", "et", dropped[1]["language"], "zxx"]
    assert all(d["language_share"] == 1 for d in documents(tmp_path, "all") if d["language"] in ("en", "et"))
    (history,) = explain(str(tmp_path / "run"), dropped[0]["doc_id"].hex())
    assert history.decisions[0].facts["language"] == "et"
