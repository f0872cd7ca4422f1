"""Compiled search for the n-grams of benchmarks."""
