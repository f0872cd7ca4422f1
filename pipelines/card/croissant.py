"""Croissant 1.1, MLCommons' description of a dataset for machines: the clean corpus as a set of Parquet files.

The vocabulary is that of the specification (http://mlcommons.org/croissant/1.1); `mlcroissant` validates it in
`make test-croissant`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa

from manifests.schema import CLEAN_EXTRA, DOCUMENTS

_CONTEXT: Final[dict[str, Any]] = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field",
    "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "samplingRate": "cr:samplingRate", "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform"}
_VERSION: Final = "http://mlcommons.org/croissant/1.1"


def croissant(facts: Mapping[str, Any], about: Mapping[str, str], patterns: Mapping[str, str]) -> dict[str, Any]:
    """The description of a run's clean corpus.

    Args:
        facts: As `facts.gather` gives them.
        about: `name`, `description`, `licence`, `url`, `version`, `creator` of the dataset.
        patterns: Files of each source, relative to the dataset's root.
    Returns:
        JSON-LD.
    """
    # A repository has no digest of its own; in its place stands what the specification's own examples put there.
    repository = {"@type": "cr:FileObject", "@id": "repository", "name": "repository",
                  "description": "the folder, bucket or repository that holds the files", "contentUrl": about["url"],
                  "encodingFormat": "git+https", "sha256": "https://github.com/mlcommons/croissant/issues/80"}
    sets = [{"@type": "cr:FileSet", "@id": f"files-{source}", "name": f"files-{source}",
             "description": f"documents of the source {source}", "containedIn": {"@id": "repository"},
             "encodingFormat": "application/vnd.apache.parquet", "includes": pattern}
            for source, pattern in patterns.items()]
    return {
        "@context": _CONTEXT, "@type": "sc:Dataset", "conformsTo": _VERSION, "name": about["name"],
        "description": about["description"], "license": about["licence"], "url": about["url"],
        "citeAs": f"{about['creator']}, {about['name']}, {facts['finished'][:4]}, {about['url']}",
        "version": about["version"], "datePublished": facts["finished"], "inLanguage": [
            row["language"] for row in facts["languages"] if row["language"]],
        "creator": {"@type": "sc:Organization", "name": about["creator"]}, "distribution": [repository, *sets],
        "recordSet": [_records(source) for source in patterns]}


def _records(source: str) -> dict[str, Any]:
    fields = [field for field in (*DOCUMENTS, *CLEAN_EXTRA) if _kind(field.type) is not None]
    return {"@type": "cr:RecordSet", "@id": source, "name": source, "description": f"documents of the source {source}",
            "field": [{"@type": "cr:Field", "@id": f"{source}/{field.name}", "name": field.name,
                       "description": (field.metadata or {}).get(b"comment", b"").decode(),
                       "dataType": _kind(field.type),
                       "source": {"fileSet": {"@id": f"files-{source}"}, "extract": {"column": field.name}}}
                      for field in fields]}


def _kind(kind: pa.DataType) -> str | None:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_fixed_size_binary(kind):
        return "sc:Text"
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    return "sc:DateTime" if pa.types.is_timestamp(kind) else None
