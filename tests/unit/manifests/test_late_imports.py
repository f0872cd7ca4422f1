"""Libraries that others would load for no reason come when somebody asks for them, and nobody sees a difference."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from threading import Thread

import pytest

from manifests.late_imports import absent

needs_pandas = pytest.mark.skipif(find_spec("pandas") is None, reason="needs pandas")

START = ("import sys\nimport pyarrow as pa\nfrom manifests.late_imports import after_import, put_off_pandas\n"
         "put_off_pandas()\n")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", START + code], capture_output=True, text=True, check=True).stdout


@needs_pandas
def test_arrays_are_made_without_pandas() -> None:
    assert run("pa.array([[1], [2, None]]); pa.array(['a'])\nprint('pandas' in sys.modules)") == "False\n"


@needs_pandas
@pytest.mark.parametrize("code", [
    "import pandas as pd\nprint(pa.array(pd.Series([1.0, float('nan')])).null_count)",  # a null as of any pandas object
    "print(len(pa.table({'a': [1, None]}).to_pandas()) - 1)",
    "import pandas as pd\nprint(pa.Table.from_pandas(pd.DataFrame({'a': [1, None]}))['a'].null_count)",
    "import pandas as pd\nput_off_pandas()\nprint(pa.array(pd.Series([None, 1.0])).null_count)",
])
def test_pyarrow_knows_pandas_as_soon_as_it_is_imported(code: str) -> None:
    assert run(code) == "1\n"


def test_what_waits_for_a_module_is_done_once_and_at_once_where_it_is_there() -> None:
    said = run("after_import('colorsys', lambda: print('hls_to_rgb' in dir(sys.modules['colorsys'])))\n"
               "print('before')\nimport colorsys\nimport colorsys\nafter_import('colorsys', lambda: print('now'))")
    assert said.split() == ["before", "True", "now"]


@needs_pandas
def test_pandas_is_waited_for_once_however_many_tasks_a_process_does() -> None:
    said = run("before = len(sys.meta_path)\nput_off_pandas()\nput_off_pandas()\nprint(len(sys.meta_path) - before)")
    assert said == "0\n"


def test_a_module_is_absent_for_one_thread_and_for_a_while() -> None:
    sys.modules.pop("colorsys", None)
    found = []
    with absent("colorsys"):
        with pytest.raises(ModuleNotFoundError):
            import colorsys
        other = Thread(target=lambda: found.append(find_spec("colorsys")))
        other.start()
        other.join()
    import colorsys

    assert found[0] is not None
    assert colorsys.hls_to_rgb(0, 1, 0) == (1, 1, 1)
