"""What numba works out again and again while it compiles is worked out once, or faster.

An operator of NumPy or of Python has dozens of implementations in numba, and for every use of one in every kernel they
are tried in turn, each several times, until one takes the types of the arguments; and each looks itself up by all
options of the compiler. Which one it is depends on the types and options alone. And after each of its passes numba
lists the variables of every instruction, through every value in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from numba.core import ir, targetconfig
from numba.core.types import functions

_OPTIONS: Any = targetconfig.TargetConfig
_STACK: Any = targetconfig.ConfigStack
_FUNCTION: Any = functions.BaseFunction
_IR: Any = ir
_NO_VARIABLE = frozenset({str, int, bool, float, type(None), ir.Loc})


def remember_types() -> None:
    """Have numba do so from now on, where it has the parts that this knows."""
    if not (hasattr(_OPTIONS, "options") and hasattr(_STACK, "top_or_none") and hasattr(_FUNCTION, "get_call_type")
            and hasattr(_IR.Inst, "_rec_list_vars")):
        return
    _OPTIONS.__hash__ = _hash_of_options
    _OPTIONS.__eq__ = _are_equal_options
    _FUNCTION.get_call_type = _remembering(_FUNCTION.get_call_type)
    _IR.Inst._rec_list_vars = _variables


def _hash_of_options(self: Any) -> int:
    """numba's own is of the names of all options, sorted: the same for all values of a class."""
    return hash(type(self))


def _are_equal_options(self: Any, other: Any) -> Any:
    """As numba's own, without asking for some twenty values one by one where none was set differently."""
    if self is other:
        return True
    if not isinstance(other, _OPTIONS):
        return NotImplemented
    return self._values == other._values or self.values() == other.values()


def _remembering(ask: Any) -> Any:
    """get_call_type() of a function that asks once for the same types of arguments and options of the compiler."""
    known: dict[Hashable, Any] = {}

    def get_call_type(self: Any, context: Any, args: Any, kws: Any) -> Any:
        key = id(self), id(context), tuple(args), tuple(kws.items()), _STACK.top_or_none()
        found = known.get(key)
        if found is None:
            found = known[key] = ask(self, context, args, kws), self, context  # which keeps them, and so their ids
        return found[0]

    return get_call_type


def _variables(_: Any, value: Any) -> list[Any]:
    """The variables in a value of an instruction, in order, as numba's own finds them."""
    found: list[Any] = []
    _add_variables((value,), found)
    return found


def _add_variables(values: Iterable[Any], found: list[Any]) -> None:
    for value in values:
        kind = type(value)
        if kind in _NO_VARIABLE:
            continue
        if isinstance(value, _IR.Var):
            found.append(value)
        elif isinstance(value, _IR.Inst):
            found += value.list_vars()
        elif isinstance(value, dict):
            _add_variables(value.values(), found)
        elif isinstance(value, (list, tuple)):
            _add_variables(value, found)
