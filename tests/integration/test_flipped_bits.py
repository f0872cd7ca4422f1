"""A bit that flips in a finished run, or an end that is cut off, and then another recipe: what the run says is done is
what a clean run of that recipe leaves, whatever it had to make again; or it ends naming the file, and without that file
it goes on."""

from __future__ import annotations

import gzip
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from manifests.errors import CurateError
from pipelines.recipe import Recipe
from pipelines.running import Result, Settings, run
from pipelines.verification import verify_run
from tests.integration.conftest import tree

pytestmark = pytest.mark.timeout(300)
CASES, NIGHTLY_CASES = 6, 300
Changes = tuple[str, ...]
PACKING, TEXTS = ("tokens/", "mix/", "pack/", "tokenizer/", "packed/"), ("extract/", "select/", "dedup/", "classifier/")
QUICK: dict[Changes, Changes] = {("pack.shard_tokens=131072",): PACKING,
                                 ("pack.row_length=256", "pack.shard_tokens=65536"): PACKING}
RECIPES: dict[Changes, Changes] = {
    **QUICK, (): (), ("pack.packing=best_fit",): PACKING, ("seed=2",): TEXTS,
    ("mixture.weights={webtext: 50, crawl: 25, reference: 25}",): PACKING, ("select.alpha=3.0",): TEXTS,
    ("mixture.validation_fraction=0.05",): PACKING, ("dedup.threshold=0.6",): TEXTS,
    ("tokenizer.vocab_size=2048",): ("clean/", "tokenizer/"), ("decontaminate.ngram=9",): (*TEXTS, "decontaminate/"),
    ("extract.languages=[en, de]",): ()}
"""What is changed, and the folders whose files are read then."""
NO_FILE_OF_THE_RUN = ("logs/", "report/", "_index/", "_records/run.lock")


class Clean:
    """What clean runs leave, by recipe. goes_on: whether they go on from the finished run, which is quicker."""

    def __init__(self, recipe_of: Callable[[Changes], Recipe], folder: Path, finished: Path,
                 goes_on: bool = False) -> None:
        self._recipe_of, self._folder, self._finished, self._goes_on = recipe_of, folder, finished, goes_on
        self._trees: dict[Changes, dict[str, str]] = {(): tree(finished)}

    def of(self, changes: Changes) -> dict[str, str]:
        if changes not in self._trees:
            out = self._folder / f"clean-{len(self._trees)}"
            if self._goes_on:
                shutil.copytree(self._finished, out)
            run(self._recipe_of(changes), str(out), Settings(engine="inline"))
            self._trees[changes] = tree(out)
            shutil.rmtree(out)
        return self._trees[changes]


@pytest.fixture(scope="module")
def of_web(small_web: Path, recipe_of: Callable[..., Recipe]) -> Callable[[Changes], Recipe]:
    return lambda changes: recipe_of(small_web, *changes)


def damage(path: Path, chance: random.Random) -> None:
    """Flip a bit, or cut the end off. Half of the flips in tables are in their footers."""
    data = path.read_bytes()
    low = 0
    if path.suffix in (".parquet", ".records") and chance.random() < 0.5:
        low = max(0, len(data) - 2000)
    at = chance.randrange(low, len(data))
    cut = chance.random() < 0.2
    path.write_bytes(data[:at] if cut else data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1:])


def choose(out: Path, chance: random.Random, folders: Changes) -> Path:
    """A file of a run, of some folders in two cases of three; each kind of file as often as any other."""
    near = folders if chance.random() < 0.67 else ()
    kinds: dict[str, list[Path]] = {}
    for path in sorted(p for p in out.rglob("*") if p.is_file() and p.stat().st_size):
        name = str(path.relative_to(out))
        if not name.startswith(NO_FILE_OF_THE_RUN) and (not near or name.startswith(near)):
            kinds.setdefault(f"{name.split('/')[:2]} {path.suffix}", []).append(path)
    return chance.choice(kinds[chance.choice(sorted(kinds))])


def refusal(recipe: Recipe, out: Path) -> tuple[str | None, list[str]]:
    """(what a run ends with, None where it is done; the files that it made again since they were damaged)."""
    try:
        result = run(recipe, str(out), Settings(engine="inline"))
    except CurateError as error:
        return str(error), []
    return "; ".join(f"{name}: {error}" for name, error in result.failed) or None, result.remade


def attempt(seed: int, finished: Path, out: Path, changes: Changes, clean: Clean,
            recipe_of: Callable[[Changes], Recipe]) -> str:
    """One case; returns what became of it: finished, remade or named."""
    chance = random.Random(seed)
    shutil.copytree(finished, out)
    victim = choose(out, chance, RECIPES[changes])
    name = str(victim.relative_to(out))
    damage(victim, chance)
    about, damaged = f"seed {seed}: {name} {changes}", victim.read_bytes()
    reason, remade = refusal(recipe_of(changes), out)
    assert set(remade) <= {name}, about
    if reason is not None:
        assert name in reason, f"{about}: {reason}"
        fresh = name == "recipe.lock.yaml"  # without it a folder is no run
        if not fresh:
            victim.unlink()
        run(recipe_of(changes), str(out), Settings(engine="inline", fresh=fresh))
    wanted, found = clean.of(changes), tree(out)
    differing = {path for path in {*wanted, *found} if wanted.get(path) != found.get(path)}
    if reason is None and differing == {name} and victim.exists() and victim.read_bytes() == damaged:
        problems = [finding for finding in verify_run(str(out)) if finding.problem is not None]
        assert any(name == finding.path for finding in problems), about  # nobody read it
    else:
        assert not differing, f"{about}: {reason}, {sorted(differing)[:5]}"
    shutil.rmtree(out)
    return "named" if reason is not None else "remade" if remade else "finished"


def test_a_flipped_bit_is_never_built_upon(small_demo: tuple[Path, Result], tmp_path: Path,
                                           of_web: Callable[[Changes], Recipe]) -> None:
    clean = Clean(of_web, tmp_path, small_demo[0], goes_on=True)
    for seed in range(CASES):
        attempt(seed, small_demo[0], tmp_path / "run", list(QUICK)[seed % len(QUICK)], clean, of_web)


def test_an_input_that_changed_without_a_trace_is_read_where_that_is_asked_for(
        small_web: Path, recipe_of: Callable[..., Recipe], tmp_path: Path) -> None:
    web, out = tmp_path / "web", str(tmp_path / "run")
    shutil.copytree(small_web, web)
    source = web / "text/reference.jsonl.gz"
    lines = gzip.decompress(source.read_bytes())
    plain = source.with_suffix("")
    plain.write_bytes(lines)
    recipe = recipe_of(web, f"sources.reference.files={plain}")

    def n_done(check_inputs: bool) -> int:
        return run(recipe, out, Settings("inline", only=("extract",), check_inputs=check_inputs)).n_done

    assert n_done(False) > 1
    state = plain.stat()
    plain.write_bytes(lines.replace(b"the", b"teh", 1))
    os.utime(plain, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert (n_done(False), n_done(True), n_done(True)) == (0, 1, 0)


@pytest.mark.nightly
@pytest.mark.timeout(14400)
def test_no_flipped_bit_of_many_is_built_upon(small_demo: tuple[Path, Result], tmp_path: Path,
                                              of_web: Callable[[Changes], Recipe]) -> None:
    clean = Clean(of_web, tmp_path, small_demo[0])
    outcomes = [attempt(seed, small_demo[0], tmp_path / "run", list(RECIPES)[seed % len(RECIPES)], clean, of_web)
                for seed in range(CASES, CASES + NIGHTLY_CASES)]
    print(Counter(outcomes))
    assert {"finished", "remade"} <= set(outcomes)
