"""Earlier runs that a recipe deduplicates against: their indexes as inputs, checked before any work."""

from __future__ import annotations

from curate.dedup.stages import AGAINST_INPUT
from manifests.graph import InputFile
from manifests.tasks import MANIFEST
from pipelines.inputs import InputScanner
from pipelines.recipe import Recipe


def scan_earlier(recipe: Recipe, scanner: InputScanner) -> dict[str, tuple[InputFile, ...]]:
    """The files of each index, by the field that names its run. Raises RecipeError where a run keeps none, or one whose
    signatures cannot be compared with this recipe's."""
    if not recipe.dedup.against:
        return {}
    from curate.dedup.index import check_index, index_folder  # with the kernels of deduplication

    indexes = {}
    for number, root in enumerate(recipe.dedup.against):
        field = f"{AGAINST_INPUT}{number}"
        folder = index_folder(root, field)
        files = scanner.scan((f"{folder}/**/*.parquet",), field)
        indexes[field] = tuple(f for f in files if f.relative != MANIFEST)
        check_index(indexes[field][0].path, recipe.dedup.documents(), field)
    return indexes
