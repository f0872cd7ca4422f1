"""Kernels of extraction that are compiled."""
