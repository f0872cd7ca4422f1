"""An extractor: what a page has in paragraphs and headings."""

from __future__ import annotations

from html.parser import HTMLParser

from pydantic import BaseModel, ConfigDict, Field


class Paragraphs:
    """Paragraphs and headings of a page, in its order, without anything else."""

    class Parameters(BaseModel):
        """tags: elements whose text is taken."""

        model_config = ConfigDict(frozen=True, extra="forbid")

        tags: tuple[str, ...] = ("h1", "h2", "h3", "p")
        min_characters: int = Field(20, ge=0, description="Shorter elements are left out.")

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def text(self, html: bytes, charset: str | None) -> str:
        """ValueError, which an unknown encoding raises here, costs the page alone."""
        try:
            page = html.decode(charset or "utf-8", errors="replace")
        except LookupError as error:
            raise ValueError(f"unknown encoding {charset}") from error
        parser = _Parser(self._parameters.tags)
        parser.feed(page)
        parser.close()
        blocks = (" ".join("".join(block).split()) for block in parser.blocks)
        return "\n\n".join(block for block in blocks if len(block) >= self._parameters.min_characters)


class _Parser(HTMLParser):
    """Gathers the text of some elements."""

    def __init__(self, tags: tuple[str, ...]) -> None:
        super().__init__()
        self.blocks: list[list[str]] = []
        self._tags = tags
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._tags:
            self._open = tag
            self.blocks.append([])

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = None

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.blocks[-1].append(data)
