"""The audit of pinned libraries: where nothing can be asked, it fails and says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_nothing_checked_is_no_good_news(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text("# of a project\nno-such-library==1.0\nanother-one==2.0\n")
    done = subprocess.run([sys.executable, "-S", str(ROOT / "scripts/audit.py"), str(pins)],  # -S: without pip-audit
                          capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "0 of 2 libraries checked, 0 known vulnerabilities\n")
    assert "nothing is known of them" in done.stderr
