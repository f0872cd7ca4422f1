"""A file of a run that is not what was written: the run that reads it makes it again and ends as a clean one does, or
names it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import CurateError, StageError
from manifests.records import TaskRecord
from pipelines.progress import LineReporter, SilentReporter
from pipelines.recipe import Recipe
from pipelines.removal import remove
from pipelines.running import Result, Settings, run
from tests.integration.conftest import tree

pytestmark = pytest.mark.timeout(240)
INLINE = Settings("inline", tracebacks=False)
KINDS: dict[str, tuple[str, str]] = {
    "tokens": ("tokens/**/*.tokens", "pack/shuffle/**/*.*"),
    "an index of tokens": ("tokens/**/*.parquet", "pack/shuffle/**/*.*"),
    "a tokenizer": ("tokenizer/tokenizer.json", "tokens/**/*.tokens"),
    "documents": ("extract/*/*/*.parquet", "clean/**/part-*.parquet"),
    "decisions": ("select/*/*/*.parquet", "clean/**/part-*.parquet"),
    "a model": ("classifier/model.bin", "classifier/scores/**/*.parquet"),
    "partitions": ("dedup/signatures/**/*.shuffle", "dedup/exact/**/*.*"),
    "a plan": ("mix/plan/plan.json", "pack/shuffle/**/*.*"),
    "a list of a stage's files": ("tokenizer/counts/manifest.parquet", "tokenizer/words/**/part-*"),
    "spans": ("packed/train/000000.spans.parquet", "packed/manifest.parquet"),
    "a packed shard": ("packed/train/000000.bin", "packed/manifest.parquet"),
    "an index of rows": ("packed/train/000000.rows", "packed/manifest.parquet")}
"""By kind of file: where such files are, and the outputs of tasks that read them."""


@pytest.fixture
def finished(small_demo: tuple[Path, Result], tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    shutil.copytree(small_demo[0], tmp_path / "run")
    return tmp_path / "run"


def flip(path: Path, at: float) -> None:
    """Change one bit, at a share of a file's length."""
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 4
    path.write_bytes(data)


def files_of(out: Path, pattern: str) -> list[Path]:
    """Outputs that a pattern finds."""
    found = sorted(path for path in out.glob(pattern) if path.is_file() and "_records" not in path.parts)
    assert found, pattern
    return found


def damage(out: Path, kind: str, n: int = 1) -> list[str]:
    """Flip a bit in the first files of a kind, all of whose readers are to be done again; names of these files."""
    pattern, readers = KINDS[kind]
    victims = files_of(out, pattern)[:n]
    for victim in victims:
        flip(victim, 0.0 if victim.suffix == ".bin" and "packed" in str(victim) else 0.97)
    for path in files_of(out, readers):
        if (path not in victims and path.name != "manifest.parquet") or readers == "packed/manifest.parquet":
            path.unlink()
    return [str(victim.relative_to(out)) for victim in victims]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_made_again_by_the_run_that_reads_it(
        finished: Path, small_web: Path, recipe_of: Callable[..., Recipe], kind: str) -> None:
    clean = tree(finished)
    names = damage(finished, kind)
    result = run(recipe_of(small_web), str(finished), INLINE)
    assert set(names) <= set(result.remade)
    assert tree(finished) == clean


def test_every_damaged_file_is_made_again(finished: Path, small_web: Path, recipe_of: Callable[..., Recipe]) -> None:
    """Two of one kind, and what these are made of."""
    clean = tree(finished)
    names = damage(finished, "tokens", 2)
    for tokens in names[:2]:
        part = Path(tokens.replace("tokens/", "clean/", 1)).with_suffix(".parquet")
        flip(finished / part, 0.97)
        names.append(str(part))
    heard: list[str] = []
    result = run(recipe_of(small_web), str(finished), INLINE, Heard(heard.append))
    assert tree(finished) == clean
    assert sorted(result.remade) == sorted(names)
    assert heard == result.remade


class Heard(SilentReporter):
    """Tells which files are made again, and which tasks are done."""

    def __init__(self, remaking: Callable[[str], None], done: Callable[[TaskRecord], None] = lambda _: None) -> None:
        self._remaking = remaking
        self._done = done

    def remaking(self, file: str) -> None:
        self._remaking(file)

    def task_done(self, stage: str, record: TaskRecord) -> None:
        self._done(record)


def test_a_file_that_is_damaged_again_ends_the_run(finished: Path, small_web: Path, recipe_of: Callable[..., Recipe]
                                                   ) -> None:
    clean = tree(finished)
    (name,) = damage(finished, "a model")
    remade: list[str] = []

    def damage_again(record: TaskRecord) -> None:
        if name in {output.path for output in record.outputs}:
            flip(finished / name, 0.5)

    with pytest.raises(StageError, match="damaged again") as caught:
        run(recipe_of(small_web), str(finished), INLINE, Heard(remade.append, damage_again))
    assert caught.value.where == str(finished / name)
    assert remade == [name]
    assert run(recipe_of(small_web), str(finished), INLINE).remade == [name]
    assert tree(finished) == clean


def test_a_run_killed_before_it_makes_a_file_again_goes_on(finished: Path, small_web: Path,
                                                           recipe_of: Callable[..., Recipe]) -> None:
    clean = tree(finished)
    damage(finished, "partitions", 2)

    def end(file: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(recipe_of(small_web), str(finished), INLINE, Heard(end))
    run(recipe_of(small_web), str(finished), INLINE)
    assert tree(finished) == clean


@pytest.mark.ray
def test_workers_come_upon_damage_too(finished: Path, small_web: Path, recipe_of: Callable[..., Recipe]) -> None:
    clean = tree(finished)
    names = damage(finished, "tokens", 2) + damage(finished, "a list of a stage's files")
    result = run(recipe_of(small_web), str(finished), Settings(workers=2))
    assert sorted(result.remade) == sorted(names)
    assert tree(finished) == clean


def test_nothing_is_made_again_where_documents_were_taken_out(finished: Path, small_web: Path,
                                                              recipe_of: Callable[..., Recipe]) -> None:
    """It would be another file than `curate remove` left."""
    from manifests.tables import read_table

    part = files_of(finished, "clean/**/part-*.parquet")[0]
    remove(str(finished), [], read_table(str(part), ["doc_id"])["doc_id"].to_pylist()[:1])
    (name,) = damage(finished, "tokens")
    damaged = (finished / name).read_bytes()
    with pytest.raises(CurateError, match="is damaged") as caught:
        run(recipe_of(small_web), str(finished), INLINE)
    assert caught.value.where == str(finished / name)
    assert (finished / name).read_bytes() == damaged


def test_what_a_person_hears(finished: Path, small_web: Path, recipe_of: Callable[..., Recipe],
                             capsys: pytest.CaptureFixture[str]) -> None:
    (name,) = damage(finished, "a tokenizer")
    with LineReporter() as reporter:
        run(recipe_of(small_web), str(finished), INLINE, reporter)
    said = [line for line in capsys.readouterr().err.splitlines() if name in line]
    assert len(said) == 1
    assert said[0].endswith(f"{name}: is not what was written there: it is made again")
