"""Exact substrings that occur in several documents."""
