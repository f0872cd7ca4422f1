"""Query parameters that say where a reader came from, never what the page is."""

from __future__ import annotations

from typing import Final

TRACKING_PARAMETERS: Final = (
    "utm_[^=&]*", "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid", "igshid",
    "mc_cid", "mc_eid", "_ga", "_gl", "ref_src", "ref_url", "cmpid", "ncid", "s_cid", "wt_mc", "mkt_tok")
"""Regular expressions of the names of parameters that say where a reader came from, never what the page is."""
