"""Wikitext to plain text, as the common corpora of Wikipedia have it: prose, lists and headings, and no apparatus.

mwparserfromhell's tokenizer (in C) reads the markup. Its tokens are turned into text here in one pass: building its
tree of nodes would take four times as long as finding the tokens, and a text needs no tree.
"""

from __future__ import annotations

import gc
import html
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from mwparserfromhell.parser import tokens as t

from curate.extraction.kernels.wikitext import count_unclosed
from curate.extraction.wiki_sections import HOLE, TERM, Section, sections_of
from curate.extraction.wiki_templates import form_of

try:
    from mwparserfromhell.parser._tokenizer import CTokenizer as _Parser
except ImportError:  # a platform without its wheel: the same tokens from Python, tens of times slower
    from mwparserfromhell.parser.tokenizer import Tokenizer as _Parser

Tokenizer: Any = _Parser
"""The parser: its method `tokenize` turns wikitext into tokens."""

DROPPED_TAGS: Final = frozenset({
    "ref", "references", "gallery", "table", "timeline", "imagemap", "hiero", "score", "graph", "templatestyles",
    "inputbox", "categorytree", "mapframe", "maplink", "section", "indicator", "includeonly", "style", "script",
    "templatedata", "phonos"})
"""Tags whose content is no prose."""

MEDIA: Final = frozenset({"file", "image", "media", "category"})
"""What every wiki calls the namespaces whose links are no words, beside its own names for them."""

_RAW_TAGS: Final = frozenset({"nowiki", "pre", "code", "source", "syntaxhighlight", "math", "chem", "ce"})
_TEX: Final = frozenset({"math", "chem", "ce"})
_BREAKS: Final = {"br": "\n", "p": "\n\n", "div": "\n\n", "blockquote": "\n\n", "poem": "\n\n", "pre": "\n\n",
                  "source": "\n\n", "syntaxhighlight": "\n\n", "center": "\n\n", "hr": "\n\n", "li": "\n- "}
_MARKS: Final = ("*", "#", ":", ";")  # of items of lists
_INTERWIKI: Final = re.compile(r"(?:[a-z]{2,3}|simple|[a-z]{2,3}-[a-z-]{2,12}):\S")
_QUOTES: Final = re.compile(r"(?<!')(?:'{5}|'{2,3})(?!')")
_MANY_QUOTES: Final = re.compile(r"'{4,}")


def wikitext_cost(text: str) -> int:
    """What reading a page may cost the parser: characters times constructs that are opened and never closed.

    The parser reads on to the end of the page for each of those, and then begins again behind it: 20,000 unclosed
    templates in 80 kB take it two minutes. Real pages stay far below 10 million."""
    return int(count_unclosed(np.frombuffer(text.encode("utf-8", "replace"), np.uint8))) * len(text)


def wikitext_sections(text: str, media: frozenset[str] = MEDIA) -> list[Section]:
    """The prose of a page by sections, in order, those without any left out.

    Comments, templates (but `wiki_templates.KEPT`), tables, references, galleries, files and categories go; links leave
    their words, items of lists a `- `, formulas their TeX between dollar signs.

    Args:
        text: The page's wikitext. `wikitext_cost` says whether it costs too much.
        media: Lower-case names of the namespaces of files and categories, whose links are no words.
    Returns:
        Sections. A heading whose subsections alone have text stays, with no paragraph.
    Raises:
        ValueError: The parser cannot read it.
    """
    collects = gc.isenabled()
    gc.disable()  # going over a page's 100,000 tokens, none in a cycle, again and again would double the time
    try:
        rendered, held = _rendered(text, media)
    except Exception as error:  # its ParserError, and whatever else C code gives
        raise ValueError(f"wikitext cannot be parsed: {error}") from error
    finally:
        if collects:
            gc.enable()
    return sections_of(rendered, held)


def _rendered(text: str, media: frozenset[str]) -> tuple[str, list[str]]:
    """(text with marks of headings and of what is held back, what is held back)."""
    stream = Tokenizer().tokenize(text, 0, True)
    held: list[str] = []
    out: list[str] = []
    renderer = _Renderer(stream, media, held)
    renderer.render(0, len(stream), out)
    renderer.close()
    return "".join(out), held


def _unquoted(text: str) -> str:
    """A text without the apostrophes of bold and slanted words: two, three and five are markup, four are bold after an
    apostrophe, and of more all but five stay."""
    text = _QUOTES.sub("", text)
    return _MANY_QUOTES.sub(lambda run: "'" * max(1, len(run[0]) - 5), text) if "''''" in text else text


class _Renderer:
    """Tokens to text. Each method is given where a construct's content begins, and returns where to go on."""

    def __init__(self, stream: list[Any], media: frozenset[str], held: list[str]) -> None:
        self._stream = stream
        self._kinds: list[type] = list(map(type, stream))
        self._media = media
        self._held = held  # texts that no rule below may touch: code and formulas
        self._rules: dict[type, Callable[[int, list[str]], int]] = {
            t.TemplateOpen: self._template, t.WikilinkOpen: self._link, t.TagOpenOpen: self._tag,
            t.TagOpenClose: self._closing, t.ExternalLinkOpen: self._external, t.HTMLEntityStart: self._entity,
            t.HeadingStart: self._heading, t.HeadingEnd: self._heading_end,
            t.CommentStart: lambda i, out: self._past(i, t.CommentStart, t.CommentEnd),
            t.ArgumentOpen: lambda i, out: self._past(i, t.ArgumentOpen, t.ArgumentClose)}

    def close(self) -> None:
        """Let go of the tokens: the rules, being methods, would hold them in a cycle."""
        self._rules.clear()

    def render(self, i: int, end: int, out: list[str]) -> None:
        """Append the text of tokens i to end."""
        stream, rules, write = self._stream, self._rules, out.append
        while i < end:
            token = stream[i]
            i += 1
            if type(token) is t.Text:
                text = token["text"]
                write(_unquoted(text) if "''" in text else text)
            elif rule := rules.get(type(token)):
                i = rule(i, out)

    def _past(self, i: int, opening: type, closing: type) -> int:
        """Behind the token that closes what was opened before i."""
        kinds, depth = self._kinds, 0
        try:
            while True:
                end = kinds.index(closing, i) + 1
                depth += kinds[i:end].count(opening)
                if not depth:
                    return end
                i, depth = end, depth - 1
        except ValueError:  # the parser closes what it opens
            return len(kinds)

    def _past_tag(self, i: int) -> int:
        """Behind the end of a tag whose first token lies before i."""
        kinds, depth = self._kinds, 0
        i, _ = self._content(i)
        if kinds[i - 1] is t.TagCloseSelfclose:
            return i
        try:
            while True:
                end = kinds.index(t.TagCloseClose, i) + 1
                inside = kinds[i:end]
                depth += inside.count(t.TagOpenOpen) - inside.count(t.TagCloseSelfclose)
                if not depth:
                    return end
                i, depth = end, depth - 1
        except ValueError:
            return len(kinds)

    def _template(self, i: int, out: list[str]) -> int:
        end = self._past(i, t.TemplateOpen, t.TemplateClose)
        first = self._stream[i]
        name = first["text"].strip().lower() if type(first) is t.Text else ""
        form = form_of(name)
        out.append(HOLE if form is None else form(self._arguments(i + 1, end - 1)))
        return end

    def _arguments(self, i: int, end: int) -> list[str]:
        """The texts of a template's arguments without names, or numbered."""
        arguments: list[str] = []
        while i < end:  # at a separator
            start = i = i + 1
            depth, named = 0, False
            while i < end and (depth or type(self._stream[i]) is not t.TemplateParamSeparator):
                kind = type(self._stream[i])
                depth += (kind is t.TemplateOpen) - (kind is t.TemplateClose)
                if kind is t.TemplateParamEquals and not depth:
                    name = self._stream[start]["text"].strip() if type(self._stream[start]) is t.Text else ""
                    named, start = not name.isdecimal(), i + 1
                i += 1
            if not named:
                out: list[str] = []
                self.render(start, i, out)
                arguments.append("".join(out).strip())
        return arguments

    def _link(self, i: int, out: list[str]) -> int:
        stream = self._stream
        first, then = stream[i], type(stream[i + 1]) if i + 1 < len(stream) else None
        if type(first) is not t.Text or then not in (t.WikilinkSeparator, t.WikilinkClose):
            return i  # a target made of templates; its words, if any, are read on
        target = first["text"].strip()
        prefix, colon, name = target.partition(":")
        if colon and (prefix.strip().lower() in self._media or _INTERWIKI.match(target)):
            return self._past(i, t.WikilinkOpen, t.WikilinkClose)
        if colon and prefix:
            end = self._past(i, t.WikilinkOpen, t.WikilinkClose)
            if self._has_options(i + 2, end) or (not name.startswith(" ") and self._is_alone(end, out)):
                return end
        if then is t.WikilinkSeparator and type(stream[i + 2]) is not t.WikilinkClose:
            return i + 2
        out.append(target.lstrip(":"))
        return i + 2

    def _has_options(self, i: int, end: int) -> bool:
        """Whether a link has more than a text, as files have, whatever a wiki calls them."""
        return any(type(token) is t.Text and "|" in token["text"] for token in self._stream[i : end - 1])

    def _is_alone(self, end: int, out: list[str]) -> bool:
        """Whether a link is a line of its own, as categories are and pages in other languages."""
        following = self._stream[end] if end < len(self._stream) else None
        ends = following is None or type(following) in (t.WikilinkOpen, t.CommentStart) or (
            type(following) is t.Text and following["text"].lstrip(" ").startswith("\n"))
        before = out[-1].rstrip(" " + HOLE) if out else ""
        return ends and (not before or before.endswith("\n"))

    def _external(self, i: int, out: list[str]) -> int:
        if not self._stream[i - 1]["brackets"]:
            return i
        end = self._past(i, t.ExternalLinkOpen, t.ExternalLinkClose)
        for k in range(i, end):
            if type(self._stream[k]) is t.ExternalLinkSeparator:
                self.render(k + 1, end - 1, out)
                break
        return end

    def _entity(self, i: int, out: list[str]) -> int:
        code = ""
        while type(token := self._stream[i]) is not t.HTMLEntityEnd:
            i += 1
            code += {t.HTMLEntityNumeric: "#", t.HTMLEntityHex: "x"}.get(type(token)) or token["text"]
        out.append(html.unescape(f"&{code};"))
        return i + 1

    def _heading(self, i: int, out: list[str]) -> int:
        level = self._stream[i - 1]["level"]
        out.append(f"\n\n\x01{level}")
        return i

    def _heading_end(self, i: int, out: list[str]) -> int:
        out.append("\n\n")
        return i

    def _tag(self, i: int, out: list[str]) -> int:
        name = self._stream[i]["text"].strip().lower() if type(self._stream[i]) is t.Text else ""
        mark = self._stream[i - 1].get("wiki_markup")
        if name in DROPPED_TAGS:
            return self._past_tag(i)
        if mark in _MARKS:
            return self._item(i, out)
        out.append(_BREAKS.get(name, ""))
        begin, attributes = self._content(i)
        if type(self._stream[begin - 1]) is t.TagCloseOpen and name in _RAW_TAGS:
            end = self._past_tag(i)
            self._hold(name, begin, end, "block" in attributes, out)
            return end
        return begin

    def _item(self, i: int, out: list[str]) -> int:
        """An item of a list, of which each level has a mark."""
        marks = ""
        while i < len(self._stream) and type(self._stream[i - 1]) is t.TagOpenOpen:
            mark = self._stream[i - 1].get("wiki_markup") or ""
            if mark not in _MARKS:  # a tag that begins the item's text
                break
            marks += mark
            i += 3  # its name, its end, and what comes after
        if marks.endswith(("*", "#")):
            out.append("  " * (len(marks.strip(":;")) - 1) + "- ")
        elif marks.endswith(";"):
            out.append(TERM)
        return i - 1

    def _content(self, i: int) -> tuple[int, list[str]]:
        """Where a tag's content begins, behind its attributes, or what follows a tag without any; its attributes."""
        words: list[str] = []
        depth, n = 0, len(self._stream)
        while i < n:
            token = self._stream[i]
            kind = type(token)
            i += 1
            if not depth and kind in (t.TagCloseOpen, t.TagCloseSelfclose):
                break
            depth += (kind is t.TagOpenOpen) - (kind is t.TagCloseSelfclose) - (kind is t.TagCloseClose)
            if kind is t.Text:
                words.append(token["text"])
        return i, words

    def _hold(self, name: str, begin: int, end: int, display: bool, out: list[str]) -> None:
        """Put aside what a tag holds as it is: code, or a formula."""
        parts: list[str] = []
        i = begin
        while i < end and type(self._stream[i]) is not t.TagOpenClose:
            token = self._stream[i]
            i += 1
            if type(token) is t.HTMLEntityStart:
                i = self._entity(i, parts)
            elif type(token) is t.Text:
                parts.append(token["text"])
        text = "".join(parts)
        if name in _TEX:
            text = f"$${text.strip()}$$" if display else f"${text.strip()}$"
        out.append(f"\x02{len(self._held)}\x03{_BREAKS.get(name, '')}")
        self._held.append(text.strip("\n"))

    def _closing(self, i: int, out: list[str]) -> int:
        name = self._stream[i]["text"].strip().lower() if type(self._stream[i]) is t.Text else ""
        out.append(_BREAKS.get(name, "") if name != "br" else "")
        return self._past_close(i)

    def _past_close(self, i: int) -> int:
        while i < len(self._stream) and type(self._stream[i]) is not t.TagCloseClose:
            i += 1
        return i + 1
