"""Screens to look at pages on: themes and widths, and where pictures of them are left."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

SCREENSHOTS: Final = Path(__file__).parents[2] / "build" / "screenshots"


def show_as(driver: Any, theme: str, width: int) -> None:
    """Have the browser show pages in a theme, `light` or `dark`, at a width in pixels; below 500, as phones do."""
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                           {"features": [{"name": "prefers-color-scheme", "value": theme}]})
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                           {"width": width, "height": 2400, "deviceScaleFactor": 1, "mobile": width < 500})
