"""The published heuristic filters: signals, rules over them, presets, edits."""
