"""Compiled measures of lines that a language is looked for in."""
