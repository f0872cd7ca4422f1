"""Compiled look-ups and measures of archives and pages."""
