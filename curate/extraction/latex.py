"""LaTeX sources as one text by LLaMA's rules (Touvron et al. 2023, section 2.1): from the first section on, without
comments and bibliography, definitions of the authors' own expanded. What stays is LaTeX.

Everything reads forward, and what a definition may grow to is bounded: a paper takes time by its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

_COMMENT: Final = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(\n[ \t]*)?")
_COMMENT_LINE: Final = re.compile(r"^[ \t]*%[^\n]*(?:\n|\Z)", re.MULTILINE)
_VERBATIM: Final = re.compile(r"\\begin\{(verbatim\*?|lstlisting|minted|Verbatim)\}.*?\\end\{\1\}", re.DOTALL)
_COMMENTED: Final = re.compile(r"\\begin\{comment\}.*?\\end\{comment\}", re.DOTALL)
_CONDITION: Final = re.compile(r"\\(if[a-zA-Z]*|fi)(?![a-zA-Z@])")
_INPUT: Final = re.compile(r"\\(?:(?:input|include|subfile)\s*\{([^{}\n]{1,200})\}|input\s+([A-Za-z0-9_./-]{1,200}))")
_END: Final = re.compile(r"\\end\{document\}|\\bye(?![a-zA-Z])")
_BEGIN: Final = re.compile(r"\\begin\{document\}")
_SECTION: Final = re.compile(r"\\(?:chapter|section|part)\*?\s*[\[{]")
_BIBLIOGRAPHY: Final = re.compile(r"\\begin\{(thebibliography|references|biblist)\}.*?(?:\\end\{\1\}|\Z)", re.DOTALL)
_REFERENCES: Final = re.compile(r"\\(?:bibliographystyle|bibliography|printbibliography|nobibliography)\*?"
                                r"(?:\[[^\]\n]*\])?(?:\{[^{}\n]*\})?")
_DEFINITION: Final = re.compile(
    r"\\(?P<kind>(?:re)?newcommand|providecommand|DeclareRobustCommand|DeclareMathOperator|[gex]?def|let)\*?\s*"
    r"(?:\{\s*\\(?P<braced>[A-Za-z]+)\s*\}|\\(?P<bare>[A-Za-z]+))")
_ENVIRONMENT: Final = re.compile(r"\\(?:re)?newenvironment\*?\s*\{")
_COUNT: Final = re.compile(r"\s*\[([0-9])\]")
_PARAMETERS: Final = re.compile(r"((?:#[1-9])*)(?=\{)")
_WORD: Final = re.compile(r"\\([A-Za-z]+)")
_TITLE: Final = re.compile(r"\\title\*?\s*(?:\[[^\]]*\])?\s*(?=\{)")
_THANKS: Final = re.compile(r"\\(?:thanks|footnote|thanksref|tnoteref)\s*(?=\{)")
_BLANK_LINES: Final = re.compile(r"\n[ \t]*\n(?:[ \t]*\n)+")
_MAX_INPUTS: Final = 500
_MAX_DEPTH: Final = 12  # of files in files, and of definitions in definitions
_MAX_GROWTH: Final = 4
_MAX_ARGUMENT: Final = 20_000  # characters


@dataclass(slots=True)
class Paper:
    """text: LaTeX; empty where there is none. title: as set, None without. missing: files that are included and not
    there. sectioned: whether it has a section to begin with. expanded: whether all definitions were expanded."""

    text: str
    title: str | None = None
    missing: list[str] = field(default_factory=list)
    sectioned: bool = True
    expanded: bool = True


@dataclass(frozen=True, slots=True)
class _Macro:
    n_arguments: int
    default: str | None
    body: str


def latex_paper(main: str, read: Callable[[str], str | None], max_characters: int) -> Paper:
    """The text of a paper.

    Args:
        main: The main file's content.
        read: Gives the content of an included file by its name, None where there is none.
        max_characters: Of the paper with all it includes; what is beyond is left out.
    """
    paper = Paper("")
    source = _END.split(_flattened(main, read, paper, max_characters), maxsplit=1)[0]
    source, macros = _without_definitions(source)
    if (found := _TITLE.search(source)) is not None:
        paper.title = _title(_group(source, found.end())[0])
    begin = _BEGIN.search(source)
    body = source[begin.end() :] if begin else source
    section = _SECTION.search(body)
    paper.sectioned = section is not None
    body = body[section.start() :] if section else body
    body = _REFERENCES.sub("", _BIBLIOGRAPHY.sub("", body))
    body, paper.expanded = _expanded(body, macros, _MAX_GROWTH * len(body) + 100_000)
    lines = "\n".join(line.rstrip() for line in body.split("\n"))
    paper.text = _BLANK_LINES.sub("\n\n", lines).strip()
    return paper


def _title(group: str) -> str | None:
    """A title in one line, without the thanks in it."""
    while (found := _THANKS.search(group)) is not None:
        group = group[: found.start()] + group[_group(group, found.end())[1] :]
    return " ".join(group.replace("\\\\", " ").split())[:500] or None


def without_comments(text: str) -> str:
    """A source without comments, and without what conditions that never hold enclose; verbatim text stays."""
    parts: list[str] = []
    last = 0
    for found in _VERBATIM.finditer(text):
        line = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
        if _COMMENT.search(line):  # commented out itself
            continue
        parts += [_uncommented(text[last : found.start()]), found[0]]
        last = found.end()
    return "".join([*parts, _uncommented(text[last:])])


def _uncommented(text: str) -> str:
    # A comment takes its line's end and the next line's indentation with it, but never a line that is its own alone.
    text = _COMMENT_LINE.sub("", text)
    text = _COMMENT.sub(lambda found: found[1] + ("\n" if found[2] else ""), text)
    return _without_false(_COMMENTED.sub("", text))


def _without_false(text: str) -> str:
    """A text without `\\iffalse … \\fi`, whatever conditions are within."""
    parts, last, depth, start = [], 0, 0, 0
    for found in _CONDITION.finditer(text):
        if not depth:
            if found[1] != "iffalse":
                continue
            start, depth = found.start(), 1
        elif found[1] == "fi":
            depth -= 1
            if not depth:
                parts.append(text[last:start])
                last = found.end()
        else:
            depth += 1
    return "".join([*parts, text[last:]])


def _flattened(main: str, read: Callable[[str], str | None], paper: Paper, max_characters: int) -> str:
    """The main file with all that it includes, without comments."""
    left = [max_characters, _MAX_INPUTS]

    def flat(text: str, open_files: tuple[str, ...]) -> str:
        text = without_comments(text)[: max(0, left[0])]
        left[0] -= len(text)

        def included(found: re.Match[str]) -> str:
            name = (found[1] or found[2]).strip()
            left[1] -= 1
            if name in open_files or len(open_files) > _MAX_DEPTH or left[1] < 0:
                return ""
            content = read(name)
            if content is None:
                paper.missing.append(name)
                return ""
            content = _END.split(content, maxsplit=1)[0]
            begin = _BEGIN.search(content)
            return flat(content[begin.end() :] if begin else content, (*open_files, name))

        return _INPUT.sub(included, text)

    return flat(main, ())


def _group(text: str, i: int) -> tuple[str, int]:
    """(what the braces at i enclose, where they end); the rest of the text, at most so much, where they never close."""
    depth, n = 0, min(len(text), i + _MAX_ARGUMENT)
    k = i
    while k < n:
        c = text[k]
        if c == "\\":
            k += 2
            continue
        if c == "{":
            depth += 1
        elif c == "}":
            depth -= 1
            if not depth:
                return text[i + 1 : k], k + 1
        k += 1
    return text[i + 1 : n], n


def _without_definitions(text: str) -> tuple[str, dict[str, _Macro]]:
    """A source without the definitions in it, and those that can be expanded by name."""
    macros: dict[str, _Macro] = {}
    parts: list[str] = []
    last = 0
    for found in _DEFINITION.finditer(text):
        if found.start() < last:
            continue
        end, macro = _definition(text, found)
        if end is None:
            continue
        parts.append(text[last : found.start()])
        last = end
        if macro is not None:
            macros[found["braced"] or found["bare"]] = macro
    return "".join([*parts, text[last:]]), macros


def _definition(text: str, found: re.Match[str]) -> tuple[int | None, _Macro | None]:
    """(where a definition ends, None for what is none; what it defines, None for what is not to be expanded)."""
    kind, i = found["kind"], found.end()
    if kind == "let":
        other = re.compile(r"\s*=?\s*(\\(?:[A-Za-z]+|.)|\S)").match(text, i)
        return (other.end(), _Macro(0, None, other[1])) if other else (None, None)
    n_arguments, default = 0, None
    if kind.endswith("def"):
        parameters = _PARAMETERS.match(text, i)
        if parameters is None:  # delimited parameters: left alone
            return None, None
        n_arguments, i = len(parameters[1]) // 2, parameters.end()
    elif counted := _COUNT.match(text, i):
        n_arguments, i = int(counted[1]), counted.end()
        if optional := re.compile(r"\s*\[([^\]]*)\]").match(text, i):
            default, i = optional[1], optional.end()
    i += len(text[i : i + 50]) - len(text[i : i + 50].lstrip())
    if text[i : i + 1] != "{":
        return None, None
    body, end = _group(text, i)
    if kind == "DeclareMathOperator":
        body = f"\\operatorname{{{body}}}"
    name = found["braced"] or found["bare"]
    unsafe = "@" in body or re.search(rf"\\{name}(?![A-Za-z])", body) or "\\csname" in body
    return end, None if unsafe else _Macro(n_arguments, default, body)


def _expanded(text: str, macros: dict[str, _Macro], limit: int) -> tuple[str, bool]:
    """(a text with its definitions expanded, whether all are): definitions may use each other, `_MAX_DEPTH` deep."""
    for _ in range(_MAX_DEPTH):
        parts: list[str] = []
        last = size = 0
        for found in _WORD.finditer(text):
            macro = macros.get(found[1])
            if macro is None or found.start() < last or text[found.start() - 1 : found.start()] == "\\":
                continue
            replaced, end = _call(text, found.end(), macro)
            if replaced is None:
                continue
            parts += [text[last : found.start()], replaced]
            if replaced[-1:].isalpha() and _WORD.search(replaced[-40:]) and text[end : end + 1].isalpha():
                parts.append(" ")  # the end of a command's name
            size += len(parts[-2]) + len(replaced)
            last = end
            if size > limit:
                return text, False
        if not parts:
            return text, True
        text = "".join([*parts, text[last:]])
    return text, False


def _call(text: str, i: int, macro: _Macro) -> tuple[str | None, int]:
    """(what a call whose name ends at i stands for, where it ends); None where its arguments are not there."""
    arguments: list[str] = []
    if macro.default is not None:
        optional = re.compile(r"\s*\[([^\]]*)\]").match(text, i)
        arguments.append(optional[1] if optional else macro.default)
        i = optional.end() if optional else i
    while len(arguments) < macro.n_arguments:
        k = i + len(text[i : i + 100]) - len(text[i : i + 100].lstrip())
        if k >= len(text):
            return None, i
        if text[k] == "{":
            argument, i = _group(text, k)
        elif command := _WORD.match(text, k):
            argument, i = command[0], command.end()
        else:
            argument, i = text[k], k + 1
        arguments.append(argument)
    if not arguments:
        return macro.body, i

    def argument_of(found: re.Match[str]) -> str:
        number = int(found[1])
        return arguments[number - 1] if number <= len(arguments) else found[0]

    return re.sub(r"#([1-9])", argument_of, macro.body), i
