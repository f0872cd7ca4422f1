"""LaTeX by LLaMA's rules: what stays of a paper, and that nothing made to grow does."""

from __future__ import annotations

import time

import pytest

from curate.extraction.latex import latex_paper, without_comments


def text_of(source: str, files: dict[str, str] | None = None) -> str:
    return latex_paper(source, (files or {}).get, 1 << 20).text


PAPER = r"""\documentclass{article} % a comment
\newcommand{\tide}{\mathcal{T}}
\title{On \textbf{Tides}\thanks{To the {moon}.}\\ and Moons\footnote{Two.}}
\begin{document}
\maketitle
\begin{abstract}Short.\end{abstract}
\section{One} % here
Rises by 5\% in $\tide x$.
%\section{Gone}
\iffalse hidden \ifmmode a \else b \fi \fi
\begin{verbatim}
100% kept
\end{verbatim}
\bibliographystyle{plain}
\bibliography{refs}
\begin{thebibliography}{9}\bibitem{a} A.\end{thebibliography}
\appendix
\section{More}
End.
\end{document}
nothing after
"""


def test_a_paper_from_its_first_section_on() -> None:
    paper = latex_paper(PAPER, lambda name: None, 1 << 20)
    assert paper.title == r"On \textbf{Tides} and Moons"
    assert paper.text == (
        "\\section{One}\nRises by 5\\% in $\\mathcal{T} x$.\n\n\\begin{verbatim}\n100% kept\n\\end{verbatim}\n\n"
        "\\appendix\n\\section{More}\nEnd.")
    assert (paper.sectioned, paper.expanded, paper.missing) == (True, True, [])


@pytest.mark.parametrize(("definition", "call", "expected"), [
    (r"\newcommand{\a}{b}", r"\a{} \ab", r"b{} \ab"), (r"\newcommand\a[1]{<#1>}", r"\a{x} \a y", "<x> <y>"),
    (r"\renewcommand{\a}[2][z]{#1-#2}", r"\a{x} \a[q]{y}", "z-x q-y"), 
    (r"\def\a{\alpha}", r"\a x,\a{}", r"\alpha x,\alpha{}"),
    (r"\def\a#1#2{#2#1}", r"\a{x}{yy}", "yyx"), (r"\DeclareMathOperator{\a}{rank}", r"\a M", r"\operatorname{rank} M"),
    (r"\let\a=\beta", r"\a", r"\beta"), (r"\def\a{\b}\def\b{c}", r"\a", "c"), (r"\def\a{\a x}", r"\a", r"\a"),
    (r"\def\a#1.{x}", r"\a 1.", r"\a 1."), (r"\newcommand{\a}{{nested {braces}}}", r"\a", "{nested {braces}}"),
    (r"\newcommand{\a}[1]{#1}", r"\a", r"\a"), (r"\def\a{x}", r"\\a", r"\\a")])
def test_definitions_are_expanded_where_they_can_be(definition: str, call: str, expected: str) -> None:
    source = f"{definition}\n\\begin{{document}}\\section{{S}}{call}\\end{{document}}"
    assert text_of(source) == "\\section{S}" + expected


def test_files_are_included_where_they_stand() -> None:
    files = {"one": "\\section{I}\n\\input{two}", "two": "Two. % no\n\\input{one}", "sub/three": "Three."}
    paper = latex_paper("\\begin{document}\\input{one}\n\\include{sub/three}\\input gone\n\\includegraphics[w]{x}",
                        files.get, 1 << 20)
    assert paper.text == "\\section{I}\nTwo.\n\nThree.\n\\includegraphics[w]{x}"
    assert paper.missing == ["gone"]


def test_a_paper_without_sections_is_its_body() -> None:
    paper = latex_paper("\\begin{document}A letter.\\end{document}", lambda name: None, 1 << 20)
    assert (paper.text, paper.sectioned) == ("A letter.", False)


def test_comments() -> None:
    assert without_comments("a % b\n  c\\% d \\\\% e\nf") == "a \nc\\% d \\\\\nf"
    assert without_comments("a\n% line\nb") == "a\nb"
    assert without_comments("a\n%\\begin{verbatim}\nb % c\n%\\end{verbatim}") == "a\nb \n"
    assert without_comments("\\begin{comment}x\\end{comment}y\\iffalse open") == "y\\iffalse open"


@pytest.mark.parametrize("source", [
    "".join(f"\\def\\{chr(97 + n)}x{{\\{chr(98 + n)}x\\{chr(98 + n)}x\\{chr(98 + n)}x}}" for n in range(20)) + "\\ax",
    "{" * 100_000, "\\def\\a{" * 20_000, "\\iffalse" * 50_000, "%" * 200_000, "\\a\\" * 60_000,
    "\\newcommand{\\a" * 10_000,
    "\\begin{thebibliography}" * 3000, "\\begin{verbatim}" * 3000, "\\def\\a#1{#1#1}" + "\\a{" * 20_000])
def test_nothing_that_is_made_to_grow_does(source: str) -> None:
    started = time.process_time()
    paper = latex_paper("\\begin{document}\\section{S}" + source, lambda name: "\\input{x}" * 5, 1 << 20)
    assert time.process_time() - started < 10
    assert len(paper.text) < 2_000_000
