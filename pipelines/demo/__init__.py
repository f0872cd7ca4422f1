"""The demo: a small web that the project renders itself, with planted and recorded truth, and its checker."""
