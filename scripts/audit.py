"""The pinned libraries against the database of known vulnerabilities: python scripts/audit.py constraints.txt

Runs in the environment that holds pip-audit. It says how many libraries could be checked, and ends with 1 where one has
a known vulnerability or where none could be checked: silence is no good news. One library is asked about first, so that
a database that cannot be reached is not asked about each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def audit(pins: list[str]) -> list[dict[str, Any]]:
    """What pip-audit says of each pin; nothing where it ends without a report."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "pins.txt")
        wanted.write_text("\n".join(pins) + "\n")
        done = subprocess.run([sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json",
                               "--progress-spinner", "off", "--requirement", str(wanted)],
                              capture_output=True, text=True, check=False)
    try:
        report: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(done.stderr.strip()[-500:], file=sys.stderr)
        return []
    return report


def main(path: str) -> int:
    """Print what was found; the exit code."""
    pins = [line for line in Path(path).read_text().splitlines() if line and not line.startswith("#")]
    first = audit(pins[:1])
    rest = audit(pins[1:]) if any("skip_reason" not in found for found in first) else []
    checked = [found for found in first + rest if "skip_reason" not in found]
    faults = [(found, fault) for found in checked for fault in found["vulns"]]
    for found, fault in faults:
        mended = ", ".join(fault["fix_versions"]) or "none yet"
        print(f"{found['name']} {found['version']}: {fault['id']}; versions without it: {mended}")
    print(f"{len(checked)} of {len(pins)} libraries checked, {len(faults)} known vulnerabilities")
    if not checked:
        print("the database cannot be reached: nothing is known of them", file=sys.stderr)
    return int(bool(faults) or not checked)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
