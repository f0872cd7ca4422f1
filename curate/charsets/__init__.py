"""Bytes to characters as the web has them: labels, decoders, declarations, and a guess where nothing is declared."""
