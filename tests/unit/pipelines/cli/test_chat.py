"""`curate tokenizer chat` takes dialogues by their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import InputError
from pipelines.cli.chat import _files


def test_dialogues_are_objects_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text('{"prompt": "x"}\n')
    (tmp_path / "b.jsonl").write_bytes(b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 0\r\n\r\n")
    assert [file.name for file in _files([str(tmp_path / "a.txt")])] == ["a.txt"]
    with pytest.raises(InputError, match="is a WARC, ARC or WACZ archive, not JSON Lines of dialogues"):
        _files([str(tmp_path / "*")])
    (tmp_path / "c.jsonl").touch()
    with pytest.raises(InputError, match=r"c.jsonl: is empty"):
        _files([str(tmp_path / "c.jsonl")])
