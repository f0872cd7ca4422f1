"""fastText models read without fastText, and scored by compiled code."""
