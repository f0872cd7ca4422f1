"""The tables of docs/filters.md: presets and signals, written from the code so that they cannot say anything else.

    python -m scripts.filter_tables
"""

from __future__ import annotations

from curate.heuristics.presets import PRESETS, Preset
from curate.heuristics.signals import SIGNALS


def preset_table(preset: Preset) -> str:
    """Markdown: the rules of a preset, in the order in which they are asked."""
    lines = ["| reason | a document passes if | source |", "|---|---|---|"]
    for rule in PRESETS[preset].rules:
        sign = "≥" if rule.at_least is not None else "≤"
        lines.append(f"| `{rule.reason}` | `{rule.signal}` {sign} {rule.threshold:g} | {rule.paper} |")
    return "\n".join(lines)


def signal_table() -> str:
    """Markdown: every signal, as the mode `paper` means it."""
    return "\n".join(["| signal | what it is |", "|---|---|", *(f"| `{s.name}` | {s.description} |" for s in SIGNALS)])


def main() -> None:
    """Print all tables."""
    for preset, rules in PRESETS.items():
        if rules.rules:
            print(f"### {preset}\n\n{preset_table(preset)}\n")
    print(signal_table())


if __name__ == "__main__":
    main()
