"""Compiled n-gram language models."""
