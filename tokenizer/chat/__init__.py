"""Dialogues with a loss mask."""
