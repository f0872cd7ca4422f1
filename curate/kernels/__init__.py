"""Compiled kernels over Arrow string buffers."""
