"""Compiled parts of deduplication: signatures, candidates, components, passages."""
