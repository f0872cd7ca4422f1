"""Before any test imports a kernel: compiled code is cached by the sources of all kernels, as in a run. Numba by itself
looks only at the file a kernel is in, and would go on with what another file held before.

Property tests draw the same examples every time, so that a change is what turns a test red; `make test-nightly` draws
others each time."""

from __future__ import annotations

import os

from hypothesis import settings

from curate.caches import keep_kernels

keep_kernels()

settings.register_profile("fixed", derandomize=True)
settings.register_profile("random", derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))
