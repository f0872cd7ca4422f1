"""The papers for people: a Hugging Face dataset card, a datasheet, and the EU's summary of training content.

What the run does not know is left as `[to be filled in: ...]`, so that nobody takes a guess for a fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from pipelines.card.facts import size_category
from pipelines.card.markdown import plain, table

OPEN: Final = "[to be filled in: {}]"
_TOP_SHARE: Final = 0.1

Facts = Mapping[str, Any]


def dataset_card(facts: Facts, about: Mapping[str, str], patterns: Mapping[str, str]) -> str:
    """A card for the Hugging Face hub (`README.md` of the dataset's repository): metadata, then what a reader asks.

    Args:
        facts: As `facts.gather` gives them.
        about: `name`, `description`, `licence`, `url` of the dataset.
        patterns: Files of each source.
    """
    languages = [row["language"] for row in facts["languages"] if row["language"] not in ("", "zxx")]
    meta = {
        "pretty_name": about["name"], "license": about["licence"], "language": languages,
        "task_categories": ["text-generation"], "size_categories": [size_category(facts["documents"])],
        "configs": [{"config_name": "default", "default": True, "data_files": [
            {"split": "train", "path": list(patterns.values())}]},
            *({"config_name": source, "data_files": [{"split": "train", "path": path}]}
              for source, path in patterns.items())]}
    head = yaml.safe_dump(meta, sort_keys=False, allow_unicode=True)
    return (f"---\n{head}---\n\n# {plain(about['name'])}\n\n{plain(about['description'])}\n\n"
            f"{facts['documents']:,} documents, {facts['bytes']:,} bytes of text, {facts['tokens']:,} tokens.\n\n"
            f"## Sources\n\n{_sources(facts)}\n## Languages\n\n{_languages(facts)}\n"
            f"## How it was made\n\n{_processing(facts)}\n## Contamination\n\n{_contamination(facts)}\n"
            f"## Use\n\n```python\nfrom datasets import load_dataset\n\n"
            f"documents = load_dataset({about['url']!r}, split=\"train\")\n```\n\n"
            f"## Limits\n\n{_limits(facts)}\n")


def datasheet(facts: Facts, about: Mapping[str, str]) -> str:
    """A datasheet (Gebru et al. 2021, Datasheets for Datasets): its questions, with the answers that the run knows."""
    first = [row["first_day"] for row in facts["sources"] if row["first_day"]]
    last = [row["last_day"] for row in facts["sources"] if row["last_day"]]
    days = f"{min(first)} to {max(last)}" if first else OPEN.format("when the data was collected")
    parts = {
        "Motivation": OPEN.format("for what purpose, by whom and with whose money the dataset was made"),
        "Composition": f"Each instance is a text, with its address, day, language and place in its archive. There are "
                       f"{facts['documents']:,} of {facts['bytes']:,} bytes.\n\n{_sources(facts)}\n{_languages(facts)}",
        "Collection process": f"Days of the documents: {days}. Files: "
                              f"{plain('; '.join(f for s in facts['sources'] for f in s['files']) or 'none')}. Whether "
                              f"the people concerned were asked: {OPEN.format('consent and notification')}.",
        "Preprocessing, cleaning, labelling": f"{_processing(facts)}\n{_contamination(facts)}",
        "Uses": OPEN.format("what the dataset was used for, and what it should not be used for"),
        "Distribution": f"Licence: {plain(about['licence'])}. Where: {plain(about['url'])}. Digest of the packed data: "
                        f"{facts['digest'] or 'none'}.",
        "Maintenance": f"Documents removed on request so far: {facts['removed']:,}. `curate remove` takes further ones "
                       f"out without moving any other row. Who to ask: {OPEN.format('contact')}."}
    return f"# Datasheet of {plain(about['name'])}\n\n" + "\n".join(
        f"## {name}\n\n{text}\n" for name, text in parts.items())


def training_summary(facts: Facts, about: Mapping[str, str]) -> str:
    """A draft of the public summary of training content that Article 53(1)(d) of Regulation (EU) 2024/1689 asks for.

    Its sections are those of the European Commission's template (July 2025): general information, list of data
    sources, data processing. Of scraped sources the template wants the top tenth of all domains by size; `domains.csv`
    lists all of them."""
    scraped = [s for s in facts["sources"] if not s["curated"]]
    other = [s for s in facts["sources"] if s["curated"]]
    n_top = max(1, round(_TOP_SHARE * len(facts["domains"]))) if facts["domains"] else 0
    top = facts["domains"][:n_top]
    return (f"# Public summary of training content: {plain(about['name'])}\n\n"
            "A draft made from the records of the data's processing, to be completed where it is marked.\n\n"
            "## 1. General information\n\n"
            f"- Provider: {plain(about['creator'])}; contact: {OPEN.format('contact of the provider')}\n"
            f"- Model: {OPEN.format('name, version and date of placement on the market')}\n"
            f"- Modality: text, {facts['tokens']:,} tokens ({facts['bytes']:,} bytes) after processing\n"
            f"- Kinds of content: {OPEN.format('such as news, fiction, scientific text, code')}\n\n"
            f"Languages:\n\n{_languages(facts)}\n"
            "## 2. List of data sources\n\n"
            f"### 2.1 and 2.2 Datasets\n\n{_source_rows(other) or 'None that the recipe marks as curated.'}\n"
            f"Which of them are public, and which are licensed: {OPEN.format('for each dataset')}\n\n"
            f"### 2.3 Data crawled and scraped\n\n{_source_rows(scraped) or 'None.'}\n"
            f"Crawlers: {_crawlers(facts, scraped)}\n\n"
            f"The top tenth of {len(facts['domains']):,} domains by bytes:\n\n"
            f"{table(('domain', 'documents', 'bytes'), [(d['domain'], d['documents'], d['bytes']) for d in top])}\n"
            f"### 2.4 to 2.6 Users' data, synthetic data, other sources\n\n{OPEN.format('whether there is any')}\n\n"
            "## 3. Data processing\n\n"
            f"### 3.1 Reservations of rights\n\n{_opt_outs(facts)}\n"
            f"### 3.2 Unwanted content\n\n{_processing(facts)}\n"
            f"### 3.3 Removal on request\n\n{facts['removed']:,} documents were taken out after the data was made.\n")


def _sources(facts: Facts) -> str:
    return table(("source", "documents", "bytes", "tokens", "share of the training data", "epochs", "days"), [
        (s["name"], s["documents"], s["bytes"], s["tokens"], s["share"],
         None if s["epochs"] is None else f"{s['epochs']:.2f}", _period(s)) for s in facts["sources"]])


def _source_rows(sources: list[Any]) -> str:
    return table(("source", "what it is made of", "documents", "bytes", "period"), [
        (s["name"], _origin(s), s["documents"], s["bytes"], _period(s)) for s in sources])


def _origin(source: Mapping[str, Any]) -> str:
    if source["derived_from"]:
        return f"pages of {source['derived_from']} that are picked out"
    if source["commoncrawl"]:
        return f"Common Crawl, {source['commoncrawl'].get('crawl', '')}"
    return "; ".join(source["files"])


def _period(source: Mapping[str, Any]) -> str:
    return f"{source['first_day']} to {source['last_day']}" if source["first_day"] else ""


def _languages(facts: Facts) -> str:
    total = facts["bytes"] or 1
    return table(("language", "documents", "bytes", "share of bytes"), [
        (row["language"] or "not identified", row["documents"], row["bytes"], row["bytes"] / total)
        for row in facts["languages"]])


def _processing(facts: Facts) -> str:
    rows = [(row["stage"], row["kept"], reason, n) for row in facts["funnel"]
            for reason, n in sorted(row["dropped"].items(), key=lambda item: -item[1]) or [("", None)]]
    return table(("stage", "kept", "dropped for", "documents"), rows)


def _contamination(facts: Facts) -> str:
    if not facts["benchmarks"]:
        return "No benchmark was looked for.\n"
    return table(("benchmark", "items", "cut out of the data", "still in it", "too short to be looked for"), [
        (b["benchmark"], b["n_items"], b["n_cut"], b["n_dirty"], b["n_too_short"]) for b in facts["benchmarks"]])


def _crawlers(facts: Facts, scraped: list[Any]) -> str:
    if any(s["commoncrawl"] for s in scraped):
        return "CCBot, of Common Crawl"
    return OPEN.format("names of the crawlers that made the archives, their purposes and behaviour")


def _opt_outs(facts: Facts) -> str:
    robots = facts["extract"].get("robots") or {}
    rules = [f"directives {', '.join(map(str, robots['directives']))}" if robots.get("directives") else "",
             f"for the agents {', '.join(map(str, robots['agents']))}" if robots.get("agents") else "",
             f"{len(robots['opted_out'])} lists of sites that opted out" if robots.get("opted_out") else ""]
    said = plain("; ".join(rule for rule in rules if rule))
    asked = f"Pages were left out by {said}." if said else "The recipe asks for no directive and no list of opt-outs."
    rows = table(("left out for", "documents"), sorted(facts["opted_out"].items()))
    return f"{asked}\n\n{rows}\nMeasures while the archives were made: {OPEN.format('robots.txt and the like')}\n"


def _limits(facts: Facts) -> str:
    return ("Texts are as their authors wrote them: rules and scores choose among documents and do not check what they "
            "say. Languages are identified by a model, which can be wrong about short texts. Duplicates below the "
            "threshold stay. "
            f"{OPEN.format('known biases, personal data, unsuitable uses')}")
