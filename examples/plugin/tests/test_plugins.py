"""The six plug-ins by themselves; none of them needs a run."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from curate_example.mailbox import Mailbox
from curate_example.onnx_scorer import N_FEATURES, OnnxScorer
from curate_example.paragraphs import Paragraphs
from curate_example.phrases import Phrases
from curate_example.shouting import Shouting
from onnx import TensorProto, helper, numpy_helper


def array(*texts: str) -> pa.LargeStringArray:
    return pa.array(texts, pa.large_string())


def write_model(path: Path) -> None:
    """A logistic regression: the share of the letter e, against a bias."""
    weights = np.zeros((N_FEATURES, 1), np.float32)
    weights[ord("e")] = 20
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["features", "weights", "bias"], ["logit"]),
         helper.make_node("Sigmoid", ["logit"], ["score"])], "letters",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", N_FEATURES])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([-1], np.float32), "bias")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def test_shouting(tmp_path: Path) -> None:
    acronyms = tmp_path / "acronyms.txt"
    acronyms.write_text("NASA\n")
    signal = Shouting(Shouting.Parameters(acronyms=acronyms))
    values = signal.values(array("BUY now at NASA", "quiet", "", "I AM"), pa.array([None] * 4, pa.string()))
    np.testing.assert_array_equal(values, [0.25, 0, np.nan, 0.5])


def test_paragraphs() -> None:
    extractor = Paragraphs(Paragraphs.Parameters(min_characters=3))
    page = b"<h1>Title</h1><nav>menu</nav><p>One <b>two</b>\n three</p><p>x</p><script>no()</script>"
    assert extractor.text(page, "utf-8") == "Title\n\nOne two three"
    with pytest.raises(ValueError, match="unknown encoding"):
        extractor.text(page, "no-such-encoding")


MAILBOX = b"""From a@example.org Mon Jan  1 00:00:00 2024
Message-ID: <1@example.org>
Date: Mon, 01 Jan 2024 10:00:00 +0200
Content-Type: text/plain; charset=utf-8

First line.
> a quotation
Second line.

From b@example.org Mon Jan  1 00:00:00 2024
Content-Type: image/png

binary
"""


def test_mailbox() -> None:
    damage, rows = Mailbox(Mailbox.Parameters()).rows(io.BytesIO(MAILBOX))  # rows come by the batch
    assert isinstance(rows, pa.RecordBatch)
    assert rows.to_pylist() == [{"id": "<1@example.org>", "date": datetime(2024, 1, 1, 8, tzinfo=UTC),
                                 "text": "First line.\nSecond line.\n"}]
    assert damage == (MAILBOX.index(b"From b@"), "a message without plain text")
    with pytest.raises(ValueError, match="does not begin"):
        list(Mailbox(Mailbox.Parameters()).rows(io.BytesIO(b"no mailbox\n")))


def test_phrases(tmp_path: Path) -> None:
    (tmp_path / "phrases.txt").write_text("all rights\nall rights reserved\n", encoding="utf-8")
    edit = Phrases(Phrases.Parameters(phrases=tmp_path / "phrases.txt", replacement="-"))
    found = edit.changes(array("über: all rights reserved", "none"))
    assert found.to_pylist() == [[{"start": 7, "end": 26, "replacement": "-"}], []]


def test_onnx_scorer(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    scorer = OnnxScorer(OnnxScorer.Parameters(model=tmp_path / "model.onnx"))
    texts = array("eeee", "zzzz", "")
    scores = scorer.scores(texts)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp([-19.0, 1, 1])), rtol=1e-6)
    alone = [scorer.scores(texts.slice(row, 1))[0] for row in range(3)]
    assert scores.tolist() == alone  # a score does not depend on the texts beside it
