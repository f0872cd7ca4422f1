"""What a recipe does about e-mail addresses, public IP addresses, phone, account and card numbers (`pii`)."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Action = Literal["keep", "replace", "cut", "drop"]

KINDS: Final = ("email", "ip", "phone", "iban", "card", "ipv6")
"""In the order of the kernels."""


class PiiConfig(BaseModel):
    """Personal data in texts: keep it, replace it, cut it out, or drop the document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Action = Field(default="replace", description="E-mail addresses.")
    ip: Action = Field(default="replace", description=(
        "Public IPv4 addresses; private and reserved ones stay. Version numbers of four parts look the same."))
    phone: Action = Field(default="keep", description=(
        "Phone numbers after `+`, and North American ones; they have no checksum, so some are not what they seem."))
    iban: Action = Field(default="replace", description="International bank account numbers with a right checksum.")
    card: Action = Field(default="replace", description="Payment card numbers with a right checksum.")
    ipv6: Action = Field(default="replace", description="Public IPv6 addresses; private and reserved ones stay.")
    email_text: str = Field(default="email@example.com", max_length=200, description="What replaces an e-mail address.")
    ip_text: str = Field(default="192.0.2.1", max_length=200, description="What replaces an IP address (RFC 5737).")
    phone_text: str = Field(default="+1 555 0100", max_length=200, description="What replaces a phone number.")
    iban_text: str = Field(default="IBAN", max_length=200, description="What replaces an IBAN.")
    card_text: str = Field(default="CARD", max_length=200, description="What replaces a card number.")
    ipv6_text: str = Field(default="2001:db8::1", max_length=200, description=(
        "What replaces an IPv6 address (RFC 3849)."))

    def actions(self) -> list[Action]:
        """What to do, in the kernels' order of kinds."""
        return [getattr(self, kind) for kind in KINDS]

    def texts(self) -> list[str]:
        """What stands in for each kind; nothing where it is cut."""
        return [getattr(self, f"{kind}_text") if getattr(self, kind) == "replace" else "" for kind in KINDS]
