"""Deduplication of files of one's own: decisions by their own ids."""
