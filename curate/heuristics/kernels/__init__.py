"""Compiled signals and edits of the published heuristics."""
