"""Compiled decoders: bytes of a legacy encoding in, UTF-8 out."""
