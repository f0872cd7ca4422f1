"""Which steps put texts into one form (`normalise`)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class NormaliseConfig(BaseModel):
    """Which steps are taken, in this order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mojibake: bool = Field(
        default=True,
        description="Lines of UTF-8 that were once read as windows-1252 or the like are put right, where ftfy finds "
                    "them to be so and no byte is lost: UTF-8's three characters for an apostrophe become one.")
    nfc: bool = Field(default=True, description="Unicode normalisation form C: one code point sequence for one text.")
    control_characters: bool = Field(
        default=True,
        description="Control characters, byte order marks, soft hyphens, word joiners and annotation marks go. "
                    "Joiners and direction marks of living scripts stay.")
    whitespace: bool = Field(
        default=True,
        description="Line breaks of any kind become line feeds, no-break and typographic spaces blanks; blanks at line "
                    "ends, and empty lines beyond one, go. Indentation stays.")
