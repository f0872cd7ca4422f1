"""Compiled cutting and joining of texts."""
