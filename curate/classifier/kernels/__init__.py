"""Compiled parts of training the hashed classifier."""
