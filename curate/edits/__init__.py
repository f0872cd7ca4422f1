"""Edits of a text: the spans of it that are kept, replaced or removed."""
