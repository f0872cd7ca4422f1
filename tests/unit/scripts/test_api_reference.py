"""docs/api.md is what the docstrings say, and leaves no public name out."""

from __future__ import annotations

import inspect

import pytest

from scripts.api_reference import PACKAGES, page, public_names
from tests.paths import ROOT


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "api.md").read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_described(package: str) -> None:
    text = page()
    for name, value in public_names(package).items():
        assert f"\n### {package}.{name}\n" in text
        if inspect.isfunction(value):
            doc = inspect.getdoc(value) or ""
            described = doc[doc.index("Args:") :] if "Args:" in doc else ""
            missing = [p for p in inspect.signature(value).parameters if f"\n    {p}: " not in described]
            assert not missing, f"{package}.{name} does not describe {missing}"


def test_arguments_defaults_and_sections_are_shown() -> None:
    text = page()
    assert '    preset: str = "gopher",\n    *,\n    thresholds: Mapping[str, float | None] | None = None,\n' in text
    assert "\n- `preset`: gopher, c4, fineweb, refinedweb, dclm or gpt3.\n" in text
    assert "\n**Returns**: float32 columns `signal_*`, n rows.\n" in text
    assert "\n#### Run.funnel\n\n```python\nRun.funnel() -> pa.Table\n```\n" in text
