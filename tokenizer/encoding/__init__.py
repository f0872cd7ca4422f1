"""Texts to token ids: tokenizers, token files, agreement with the reference."""
