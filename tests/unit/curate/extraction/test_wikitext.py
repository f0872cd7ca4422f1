"""Wikitext to prose: what stays, what goes, and what would take the parser too long."""

from __future__ import annotations

import time

import pytest

from curate.extraction.wiki_sections import Section
from curate.extraction.wikitext import Tokenizer, wikitext_cost, wikitext_sections


def prose(text: str) -> str:
    return "\n\n".join(p for section in wikitext_sections(text) for p in section.paragraphs)


@pytest.mark.parametrize(("markup", "expected"), [
    ("A '''bold''' and ''slanted'' word.", "A bold and slanted word."),
    ("L''''Autriche''' est", "L'Autriche est"),
    ("See [[Harbour]] and [[Harbour wall|the wall]] of [[:Category:Ports]].",
     "See Harbour and the wall of Category:Ports."),
    ("A [[File:Boat.jpg|thumb|A [[boat]] at rest]]boat.", "A boat."),
    ("Ein [[Datei:Boot.jpg|mini|Ein Boot]]Boot.", "Ein Boot."),
    ("End.\n[[Kategorie:Hafen]]\n[[de:Hafen]]", "End."),
    ("Tide<ref name=a>{{cite|x}}</ref> and<ref name=a /> wave.", "Tide and wave."),
    ("Before {{infobox|a={{b|c}}|d=e}}after.", "Before after."),
    ("It is {{convert|5|km|mi}} to {{lang|fr|la mer}}.", "It is 5 km to la mer."),
    ("Berlin ({{IPAc-en|x}}; {{lang-de|Berlin}}) is", "Berlin (Berlin) is"),
    ("Berlin ({{IPAc-en|x}}, {{y}}) is", "Berlin is"),
    ("A letter ({{respell|A}} named, plural {{x}}, or {{y}}) and {{z}}.", "A letter (named, plural) and."),
    ("Vowels such as {{x}}, {{y}}, and {{z}} are open, {{a}}, however; it {{b}} is.",
     "Vowels such as are open, however; it is."),
    ("Prix ; {{x}} il y a {{unité|12|km}} ; fin", "Prix ; il y a 12 km ; fin"),
    ("* {{flagicon|J}} - [[Tide]]\n* 1993: {{x}}, {{y}}\n* {{z}} \u2013 2003", "- Tide\n- 2003"),
    ("From {{convert|5|to|10|km|mi}}, {{cvt|3|ft|m}}, {{nihongo|Tide|潮|shio}} and {{nihongo|Ebb|引}}.",
     "From 5 to 10 km, 3 ft, Tide (潮, shio) and Ebb (引)."),
    ("{{chem|H|2|O}} of {{formatnum:12345}} by {{HMS|Ebb|1912}} {{sic}}", "H2O of 12345 by HMS Ebb [sic]"),
    (":<math>F = \\frac{a_{b}}{c}</math>\n::<math>{{x}}</math>", "$F = \\frac{a_{b}}{c}$\n${{x}}$"),
    ("* <ref>gone</ref>kept\n# <nowiki>[[raw]]</nowiki>\n: <small>s</small>", "- kept\n- [[raw]]\ns"),
    ("A [[Archivo: Boat.jpg|thumb|left|A boat]]boat.", "A boat."),
    ("; Footnotes\n{{reflist}}\n; Works\n* One\n; Online\n{{x}}", "Works\n- One"),
    ("; a\n; b\n: both", "a\nb\nboth"),
    ("A <!-- hidden --> word&nbsp;&amp; another &#8211; here.", "A word\u00a0& another \u2013 here."),
    ("Energy <math>E = mc^2</math> holds.", "Energy $E = mc^2$ holds."),
    ('<math display="block">\\sum_{i}</math>', "$$\\sum_{i}$$"),
    ("* one\n** two\n# three\n: four", "- one\n  - two\n- three\nfour"),
    ("x\n{| class=a\n! h\n|-\n| cell || cell\n|}\ny", "x\n\ny"),
    ("x\n<gallery>\nFile:A.jpg|a\n</gallery>\ny", "x\n\ny"),
    ("<nowiki>[[not ''a'' link]]</nowiki>", "[[not ''a'' link]]"),
    ("<syntaxhighlight lang=c>\nif (a) {\n    b();\n}\n</syntaxhighlight>", "if (a) {\n    b();\n}"),
    ("__NOTOC__ Words [http://x.example a page] and [http://y.example].", "Words a page and ."),
    ("One<br>two<br />three", "One\ntwo\nthree"),
    ("H<sub>2</sub>O <small>tiny</small>", "H2O tiny"),
    ("An unclosed {{template and [[link", "An unclosed template and link"),
])
def test_markup_becomes_what_a_reader_sees(markup: str, expected: str) -> None:
    assert prose(markup) == expected


def test_sections_keep_their_levels_and_empty_ones_go() -> None:
    text = "Lead.\n== A ==\n=== B ===\nText of B.\n=== C ===\n{{x}}\n== D ==\n* [[File:x.jpg]]\n== E ==\nText of E."
    assert wikitext_sections(text) == [
        Section(0, "", ("Lead.",)), Section(2, "A", ()), Section(3, "B", ("Text of B.",)),
        Section(2, "E", ("Text of E.",))]


@pytest.mark.parametrize("unit", ["{{a|", "<ref>", "{|\n", "[http://a ", '<b a="', "{{a\n|b={{{", "[[a|{{"])
def test_pages_that_would_take_the_parser_minutes_are_measured_beforehand(unit: str) -> None:
    assert wikitext_cost(unit * 20_000) > 30_000_000
    small = unit * 100
    started = time.process_time()
    Tokenizer().tokenize(small, 0, True)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("text", [
    "{{a|" * 3000 + "}}" * 3000, "<b>x</b>" * 9000, "[[a]] " * 9000, "{|\n|a\n|}\n" * 3000])
def test_what_is_closed_costs_nothing(text: str) -> None:
    assert wikitext_cost(text) == 0


def test_what_was_closed_before_does_not_pay_for_what_is_opened_after() -> None:
    assert wikitext_cost("}}" * 50 + "{{a" * 50) == 50 * 250
