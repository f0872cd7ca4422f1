"""How kernels that call each other for every character or tag are compiled."""

from __future__ import annotations

from typing import Any, Final

import numba as nb

kernel: Final[Any] = nb.njit(nogil=True, cache=True, _nrt=False)  # type: ignore[call-overload]
"""As everywhere in this project, and without numba's reference counts: counting arrays at every call took nine tenths
of a decoder's time. Such a kernel allocates nothing."""
