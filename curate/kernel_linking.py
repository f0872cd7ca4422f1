"""Functions that kernels call are compiled as parts of those kernels alone.

numba makes machine code of every function that a kernel calls, and callable from Python, before it compiles the kernel,
into which it then links that function's code and optimises it once more: what lies deep is optimised as often as it is
deep. Here a function that is compiled for a kernel stays in LLVM's intermediate form, and machine code is made of it
once, in the kernel. If Python calls it later, it is compiled as numba does it.

numba makes and drops objects that refer to each other by the million, and Python looks through all of them, and all
that the process had before, again and again while it compiles. Meanwhile it looks through new ones alone, and seldom:
to wait until the kernel is done takes no less CPU, and 170 MB more for the largest kernel.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from functools import wraps
from typing import Any

from numba.core import codegen, dispatcher, event, sigutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.typing import templates

_CODEGEN: Any = codegen
_SIGNATURES: Any = sigutils
_TEMPLATES: Any = templates
_RECURSION = codegen.RuntimeLinker.PREFIX
_INNER_OPTIONS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_SELDOM = 100_000, 5, 2  # thresholds of gc's generations


class _Inner:
    """What stands for a function that has no machine code of its own."""


def link_late() -> None:
    """Have numba do so from now on, where it has the parts that this knows."""
    library: Any = codegen.CPUCodeLibrary
    own: Any = dispatcher.Dispatcher
    if not all(hasattr(library, name) for name in ("_get_module_for_linking", "_ensure_finalized", "finalize")):
        return
    library.add_linking_library = _add_linking_library
    library.finalize = _finalizing(library.finalize)
    own.get_call_template = _get_call_template
    own.compile = _compiling(own.compile)


def _add_linking_library(self: Any, library: Any) -> None:
    self._linking_libraries.append(library)


def _finalizing(finalize: Callable[[Any], None]) -> Callable[[Any], None]:
    """finalize() of a library that has first taken in what no other library has made code of."""

    @wraps(finalize)
    def then_finalize(self: Any) -> None:
        for library in _open_libraries(self):
            self._reload_init.update(library._reload_init)
            self._final_module.link_in(_own_module(library), preserve=True)
        self._linking_libraries = list(_finalized_libraries(self))
        finalize(self)

    return then_finalize


def _reached(library: Any) -> Iterator[Any]:
    """The libraries that one links, and those that the open ones among them link, each once."""
    seen = {id(library)}
    waiting = list(library._linking_libraries)
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if not found._finalized:
            waiting += found._linking_libraries


def _open_libraries(library: Any) -> list[Any]:
    return [found for found in _reached(library) if not found._finalized]


def _finalized_libraries(library: Any) -> list[Any]:
    return [found for found in _reached(library) if found._finalized]


def _own_module(library: Any) -> Any:
    """A library's functions alone, as they can be taken into several others."""
    module = library._final_module.clone()
    for function in module.functions:
        if not function.is_declaration and function.linkage == _CODEGEN.ll.Linkage.external:
            function.linkage = "linkonce_odr"
    return module


def _get_call_template(self: Any, args: Any, kws: Any) -> Any:
    """As of numba, for a call by compiled code: the function is compiled as part of it."""
    pysig, args = self._compiler.fold_argument_types(args, kws)
    if self._can_compile:
        _compile_inner(self, tuple(args))
    name = self.py_func.__name__
    made = _TEMPLATES.make_concrete_template(f"CallTemplate({name})", key=name, signatures=self.nopython_signatures)
    return made, pysig, args, {}


def _compile_inner(self: Any, args: Any) -> None:
    recursive = bool(self.is_compiling)
    with global_compiler_lock, self._compiling_counter:
        args, return_type = _SIGNATURES.normalize_signature(args)
        if tuple(args) in self.overloads:
            return
        compiler = copy(self._compiler)  # functions that call each other are compiled within each other
        compiler.targetoptions = {**compiler.targetoptions, **_INNER_OPTIONS}
        compiler._customize_flags = _uncompiled(compiler._customize_flags)
        details = {"dispatcher": self, "args": args, "return_type": return_type}
        with event.trigger_event("numba:compile", data=details):
            result = compiler.compile(args, return_type)
        if recursive or _calls_by_address(result.library):
            result.library._ensure_finalized()
        result = result._replace(entry_point=_Inner(), type_annotation="", metadata={})
        result.fndesc.typemap = result.fndesc.calltypes = None  # as of a function that is read from its file
        self.targetctx.insert_user_function(result.entry_point, result.fndesc, [result.library])
        self.overloads[tuple(args)] = result


def _calls_by_address(library: Any) -> bool:
    """Whether a function, or one that it calls, finds another by the address of its code, as recursion does."""
    return any(found.name.startswith(_RECURSION)
               for part in (library, *_reached(library)) for found in part._final_module.global_variables)


def _uncompiled(customize: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def customized(flags: Any) -> Any:
        flags = customize(flags)
        flags.no_compile = True
        return flags

    return customized


def _compiling(compile_own: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """compile() that takes a function which is part of kernels alone as not compiled yet."""

    @wraps(compile_own)
    def then_compile(self: Any, sig: Any) -> Any:
        with global_compiler_lock, _collecting_seldom():
            args, _ = _SIGNATURES.normalize_signature(sig)
            found = self.overloads.get(tuple(args))
            if found is not None and isinstance(found.entry_point, _Inner):
                del self.overloads[tuple(args)]
            done = compile_own(self, sig)
            result = self.overloads.get(tuple(args))
            if result is None:
                return done
            if _is_filed(self):
                self.overloads[tuple(args)] = result._replace(type_annotation="")
            if not result.objectmode:
                for environment in result._find_referenced_environments():
                    result.library.codegen.set_env(environment.env_name, environment)
            return done

    return then_compile


def _is_filed(kernel: Any) -> bool:
    """Whether the next process loads a kernel from its file, and so without the instructions that it was made of."""
    return getattr(kernel._cache, "cache_path", None) is not None


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """By a thread that holds the compiler's lock. Nothing is changed where a kernel is compiled within another, or
    where whoever uses this keeps objects from being looked at."""
    usual = gc.get_threshold()
    if usual == _SELDOM or not gc.isenabled() or gc.get_freeze_count():
        yield
        return
    gc.freeze()
    gc.set_threshold(*_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
