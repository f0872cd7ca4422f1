"""Perplexity under n-gram language models that a user gives, as CCNet uses it."""
