"""Before any test imports a kernel: compiled code is cached by the sources of all kernels, as in a run. Numba by itself
looks only at the file a kernel is in, and would go on with what another file held before."""

from __future__ import annotations

import os

from curate.caches import kernel_cache_folder

os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache_folder()))
