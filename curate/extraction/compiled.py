"""How the kernels of this package are compiled."""

from __future__ import annotations

from typing import Any, Final

import numba as nb

kernel: Final[Any] = nb.njit(nogil=True, cache=True, _nrt=False)  # type: ignore[call-overload]
"""As everywhere in this project, and without numba's reference counts: kernels here call each other for every tag, and
counting the page's arrays at every call took more than half of the scanner's time. Such a kernel allocates nothing."""
