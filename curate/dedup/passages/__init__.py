"""Repeated paragraphs, sentences and n-grams within documents."""
