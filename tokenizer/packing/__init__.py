"""Tokens to packed shards."""
