"""Exact and near-duplicate removal over all sources: MinHash-LSH proposes pairs, exact Jaccard similarity decides.

The steps, each a map over files: against (a part of an earlier run) and signatures (a part) -> exact (a partition) ->
bands (a part) -> candidates (a partition) -> links (a partition of parts) -> components (once) -> shingles (a part) ->
heads, pivots and compared (partitions, of large components) -> resolve (a partition) -> copies (a partition) ->
decisions (a part) -> summary (once) and index (a part). The outcome depends neither on the number of partitions nor on
the order of the parts.
"""
