"""What may have been meant by a name that is not there."""

from __future__ import annotations

from manifests.suggestion import meant, meant_or_listed

MANY = [f"stage_{number}" for number in range(20)]


def test_the_nearest_name_is_meant() -> None:
    assert meant("extrct", ["extract", "select"]) == "did you mean 'extract'?"
    assert meant("EXTRACT", ["extract"]) == "did you mean 'extract'?"
    assert meant("copies", ["dedup/copies", "select"]) == "did you mean 'dedup/copies'?"
    assert meant("zzz", ["extract"]) == meant("", ["extract"]) == meant("a", []) == ""


def test_many_names_are_listed_only_where_none_is_near() -> None:
    assert meant_or_listed("stage_1x", MANY) in [f"did you mean {name!r}?" for name in MANY]
    assert meant_or_listed("zzz", MANY).startswith("one of: stage_0, stage_1")
    assert meant_or_listed("abd", ["abc", "b"], "they are") == "did you mean 'abc'? they are: abc, b"
    assert meant_or_listed("x", []) == "one of: none"
