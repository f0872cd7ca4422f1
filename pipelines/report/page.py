"""The page of a report: one HTML file that refers to nothing else, in which all that comes from data is text."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from pipelines.report.elements import Cell, article, excerpt, number, pieces, table
from pipelines.report.svg import bars, histogram
from pipelines.terminal import printable

Facts = dict[str, Any]


def page(facts: Facts) -> str:
    """The page of a run's facts, as `gather` gives them."""
    css = files("pipelines.report").joinpath("report.css").read_text("utf-8")
    script = files("pipelines.report").joinpath("report.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    title = escape(f"{facts['run']}: recipe {facts['recipe_name']}")
    links = "".join(f'<a href="#{key}">{escape(name)}</a>' for key, name, _ in SECTIONS)
    sections = "".join(f'<section id="{key}"><h2>{escape(name)}</h2>{make(facts)}</section>'
                       for key, name, make in SECTIONS)
    body = f"<h1>{title}</h1>{_read(facts)}<nav>{links}</nav>{sections}"
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{_visible(title)}</title><style>{css}</style></head>"
            f"<body>{_visible(body)}<script>{script}</script></body></html>\n")


def _visible(text: str) -> str:
    """Control characters and marks of direction, which could make a page read otherwise than it is, as escapes."""
    return printable(text)


def _read(facts: Facts) -> str:
    read = facts["read"]
    whole = read["parts"] == read["of_parts"]
    of = "" if whole else (
        f" Documents, tokens and domains were counted in {read['parts']:,} of {read['of_parts']:,} parts, chosen by a "
        "hash of their names; the chart of the stages is of all.")
    return f'<p class="sub">{read["of_documents"]:,} documents came in.{of}</p>'


def _alarms(facts: Facts) -> str:
    rows = [f'<div class="{escape(a["severity"])}"><strong>{escape(a["what"])}</strong><br>{escape(a["advice"])}</div>'
            for a in facts["alarms"]]
    return "".join(rows) or "<p>Nothing stands out.</p>"


def _funnel(facts: Facts) -> str:
    chart = bars("documents that each stage sees and keeps", [
        (row["stage"], row["documents"], row["kept"], f"{row['kept']:,} of {row['documents']:,}")
        for row in facts["funnel"]])
    tokens: dict[str, int] = {}
    for row in facts["stats"]:
        tokens[row["source"]] = tokens.get(row["source"], 0) + row["tokens"]
    rows = [(Cell(row["source"]), Cell(row["fate"]), number(row["documents"]), number(row["bytes"]),
             number(tokens.get(row["source"]) if row["fate"] == "kept" else None)) for row in facts["fates"]]
    return chart + table(("source", "fate", "documents", "bytes", "tokens"), rows)


def _signals(facts: Facts) -> str:
    found = []
    for signal in facts["signals"]:
        rules = signal["rules"]
        chart = histogram(f"documents by {signal['signal']}", signal["bins"],
                          [(rule["threshold"], f"{rule['threshold']:g}") for rule in rules])
        said = "".join(f'<p class="soft">{escape(rule["reason"])}: {rule["side"].replace("_", " ")} '
                       f'{rule["threshold"]:g}; {rule["fail"]:,} of {signal["documents"]:,} fail</p>' for rule in rules)
        beside = "".join(f"<h4>{escape(side)}</h4>" + table(
            ("value", "document", "text"), [(number(e["value"]), Cell(e["url"] or e["doc_id"]), Cell(e["text"]))
                                            for e in documents]) for side, documents in signal["beside"].items())
        more = f"<details><summary>documents on either side of {rules[0]['threshold']:g}</summary>{beside}</details>" \
            if rules else ""
        found.append(f"<h3>{escape(signal['signal'])}</h3>{said}{chart}{more}")
    return "".join(found) or "<p>No rule reads a signal, and there is no score.</p>"


def _sides(name: str) -> Callable[[Facts], str]:
    def make(facts: Facts) -> str:
        rows = facts[name]
        if not rows:
            return "<p>Nothing was recorded.</p>"
        sums = [(row["name"], row["kept"], row["kept"] + row["dropped"]) for row in rows[:15]]
        chart = bars(f"{name.replace('_', ' ')}, kept of all", [
            (label, whole, kept, f"{kept:,} of {whole:,}") for label, kept, whole in sums])
        return chart + table((name.replace("_", " "), "kept", "dropped"),
                             [(Cell(row["name"]), number(row["kept"]), number(row["dropped"])) for row in rows])
    return make


def _domains(facts: Facts) -> str:
    head = ("domain", "pages in", "documents", "bytes", "tokens", "share of bytes")

    def rows(name: str) -> list[tuple[Cell, ...]]:
        return [(Cell(r["domain"]), number(r["pages"]), number(r["documents"]), number(r["bytes"]), number(r["tokens"]),
                 number(r["share"], ".2%")) for r in facts[name]]

    return (f"<h3>out: by bytes that were kept</h3>{table(head, rows('domains_out'))}"
            f"<h3>in: by pages</h3>{table(head, rows('domains_in'))}")


def _duplicates(facts: Facts) -> str:
    own = facts["duplicates"]
    if not own["sizes"]:
        return "<p>No document was dropped as a duplicate of another one of this run.</p>"
    chart = bars("groups of duplicates by size", [(f"up to {row['up_to']:,} documents", row["groups"], None,
                                                   f"{row['groups']:,} groups") for row in own["sizes"]])
    largest = []
    for group in own["largest"]:
        same = f", similarity {group['similarity']:.3f}" if group["similarity"] is not None else ", an exact copy"
        diff = "\n".join(group["diff"]) or "the same text"
        largest.append(article(f"{group['duplicates']:,} duplicates of {group['url'] or group['doc_id']}",
                               '<p class="soft">the one that differs most: '
                               f"{escape(group['copy_url'] or group['copy'])}{same}</p><pre>{escape(diff)}</pre>"))
    return f"{chart}<h3>the largest groups</h3>{''.join(largest)}"


def _contamination(facts: Facts) -> str:
    own = facts["contamination"]
    if not own["benchmarks"]:
        return "<p>No benchmark was looked for.</p>"
    rows = [(Cell(b["benchmark"]), number(b["n_items"]), number(b["n_clean"]), number(b["n_cut"]), number(b["n_dirty"]),
             number(b["n_too_short"]), number(b["ngram"])) for b in own["benchmarks"]]
    matches = [article(f"{m['benchmark']}, item {m['item']}: {m['url'] or m['doc_id']}",
                       f'<div class="body">{escape(m["before"])}<mark>{escape(m["match"])}</mark>'
                       f'{escape(m["after"])}</div>') for m in own["matches"]]
    head = ("benchmark", "items", "clean", "cut out", "still there", "too short", "n-gram")
    return table(head, rows) + "".join(matches)


def _tokenizer(facts: Facts) -> str:
    own = facts["tokenizer"]
    if not own:
        return "<p>The run has no tokenizer yet.</p>"
    rows = [(Cell(name.replace("_", " ")), Cell(str(own[name]))) for name in (
        "vocab_size", "pattern", "bytes_per_token", "sample_bytes", "read_tokens", "unused", "sha256") if name in own]
    by = [(Cell(r["source"]), Cell(r["language"] or ""), Cell(r["page_type"] or ""), number(r["tokens"]),
           number(r["bytes"] / r["tokens"] if r["tokens"] else None, ".3f")) for r in facts["stats"]]
    lists = "".join(f"<h3>{title}</h3><p>{' '.join(f'<code>{escape(repr(token))}</code>' for token in own[name])}</p>"
                    for name, title in (("longest_tokens", "longest tokens"), ("unused_tokens", "unused, for instance"))
                    if own.get(name))
    return (table(("fact", "value"), rows) + lists
            + table(("source", "language", "page type", "tokens", "bytes per token"), by))


def _mixture(facts: Facts) -> str:
    rows = facts["mixture"]
    if not rows:
        return "<p>Nothing is packed yet.</p>"
    chart = bars("actual share of each source", [(r["name"], r["realised_share"], None, f"{r['realised_share']:.2%} "
                 f"(target {r['requested_weight']:.2%})") for r in rows])
    cells = [(Cell(r["name"]), number(r["requested_weight"], ".2%"), number(r["realised_share"], ".2%"),
              number(r["available_tokens"]), number(r["selected_tokens"]), number(r["epochs"], ".3f")) for r in rows]
    shards = [(Cell(s["split"]), number(s["shards"]), number(s["rows"]), number(s["tokens"]),
               number(s["dropped_tokens"])) for s in facts["shards"]]
    head = ("source", "target share", "actual share", "available tokens", "drawn tokens", "epochs")
    return (chart + table(head, cells)
            + table(("split", "shards", "rows", "tokens", "tail dropped"), shards))


def _stages(facts: Facts) -> str:
    rows = [(Cell(s["stage"]), number(s["tasks"]), number(s["seconds"], ",.1f"),
             number(s["peak_memory_bytes"] / 1e6, ",.0f"), number(s["bytes_out"] / 1e6, ",.1f"),
             number(s["bytes_out"] / 1e6 / s["seconds"] if s["seconds"] else None, ",.1f"),
             number(s["damaged"])) for s in facts["stages"]]
    hours = sum(s["seconds"] for s in facts["stages"]) / 3600
    return f"<p>{hours:,.3f} core-hours in all.</p>" + table(
        ("stage", "tasks", "core-seconds", "MB of memory", "MB written", "MB/s written", "damaged"), rows)


def _samples(facts: Facts) -> str:
    own = facts["samples"]
    sides = "".join(f"<div><h3>{side}</h3>{''.join(map(excerpt, own[side]))}</div>" for side in ("kept", "dropped"))
    edited = "".join(article(e["url"] or e["doc_id"], pieces(e["pieces"])) for e in facts["edited"])
    more = f"<h3>kept, with what was removed</h3>{edited}" if edited else ""
    return f'<div class="pair">{sides}</div>{more}'


def _recipe(facts: Facts) -> str:
    rows = [(Cell(name), Cell(str(version))) for name, version in facts["versions"].items()]
    return f"<details><summary>the resolved recipe</summary><pre>{escape(facts['recipe'])}</pre></details>" + table(
        ("what", "version"), rows)


SECTIONS: Final[Sequence[tuple[str, str, Callable[[Facts], str]]]] = (
    ("alarms", "What to look at first", _alarms), ("funnel", "Where documents went", _funnel),
    ("signals", "Score and signals", _signals), ("languages", "Languages", _sides("languages")),
    ("page-types", "Kinds of pages", _sides("page_types")), ("domains", "Domains", _domains),
    ("duplicates", "Duplicates", _duplicates), ("contamination", "Contamination", _contamination),
    ("tokenizer", "Tokenizer", _tokenizer), ("mixture", "Mixture", _mixture), ("stages", "Time and memory", _stages),
    ("samples", "Documents", _samples), ("recipe", "Recipe and versions", _recipe))
"""(anchor, heading, what makes it) of each section, in order."""
