"""Modes that compile: ``torch.compile`` with every backend, and compiled autograd.

One compiled function serves every example of a law that its guards allow: dynamo keeps what it
compiled with the code of ``call`` below, by the function that it calls and the inputs' kinds.
Nothing of it outlives the law.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch

from conformance.modes.functional import FUNCTIONAL
from conformance.modes.mode import Arguments, Function, Keywords, Limit, Mode, Refusal

_UNBOUNDED = 1 << 30
_PHASES = ("_compile.compile_inner", "backward._backward_impl")


def compiled(
    function: Function,
    arguments: Arguments,
    keywords: Keywords,
    device: torch.device,
    **options: Any,
) -> Any:
    """Call a function through ``torch.compile``; shapes are constants unless options say else."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    return torch.compile(call, **{"dynamic": False, **options})(*arguments, **keywords)


def without_donated_buffers(device: torch.device, **_: Any) -> AbstractContextManager[None]:
    """Return the context in which a compiled function's graph can be kept, as torch tells to."""
    from torch._functorch import config

    context: AbstractContextManager[None] = config.patch(donated_buffer=False)
    return context


def compiled_backward(device: torch.device, **options: Any) -> AbstractContextManager[None]:
    """Return the context in which backward passes are traced and compiled."""
    from torch._dynamo import compiled_autograd

    compiler = torch.compile(**options)
    context: AbstractContextManager[None] = compiled_autograd._enable(compiler)
    return context


@contextmanager
def compiling() -> Iterator[None]:
    """Surround a law: nothing compiled outlives it, and no limit lets torch go on in eager mode.

    After each compilation dynamo empties the processor's caches to time its guards, for its
    logs alone, which takes as long as the compilation: not here.
    """
    import torch._dynamo
    from torch._dynamo import config, guards

    limits: dict[str, Any] = {
        name: _UNBOUNDED
        for name in ("recompile_limit", "accumulated_recompile_limit")
        if hasattr(config, name)
    }
    torch.compiler.reset()
    with ExitStack() as stack:
        stack.enter_context(config.patch({**limits, "fail_on_recompile_limit_hit": True}))
        if hasattr(guards, "profile_guard_manager"):
            stack.enter_context(mock.patch.object(guards, "profile_guard_manager", _untimed))
        try:
            yield
        finally:
            torch.compiler.reset()


def _untimed(*_: object) -> float:
    return 0.0


def compile_seconds() -> float:
    """Return how long this process has been compiling, by dynamo's own clock."""
    from torch._dynamo import utils

    times: Mapping[str, list[float]] = getattr(utils, "compilation_time_metrics", {})
    return sum(sum(times.get(phase, ())) for phase in _PHASES)


def compilations() -> Mapping[str, Mapping[str, Any]]:
    """Return every backend that dynamo knows here, alone and with each choice."""
    import torch._dynamo

    choices: dict[str, dict[str, Any]] = {
        "": {},
        ",fullgraph": {"fullgraph": True},
        ",dynamic": {"dynamic": True},
        ",fullgraph,dynamic": {"fullgraph": True, "dynamic": True},
    }
    return {
        name + words: {"backend": name, **options}
        for name in torch._dynamo.list_backends(exclude_tags=())
        for words, options in choices.items()
    }


def backward_compilations() -> Mapping[str, Mapping[str, Any]]:
    """Return the backends of compiled autograd; ``eager`` traces and compiles nothing more."""
    import torch._dynamo

    backends = {n: {"backend": n} for n in torch._dynamo.list_backends(exclude_tags=())}
    return {"": {"backend": "eager"}, **backends}


_DOUBLE = "https://github.com/pytorch/pytorch/issues/91469"

COMPILE = Mode(
    "compile",
    "torch.compile with a backend: compile:BACKEND[,fullgraph][,dynamic]",
    "torch.compile",
    call=compiled,
    around=without_donated_buffers,
    parameters=compilations,
    session=compiling,
    preparation=compile_seconds,
    rewords=True,  # kernels for tensors without values check what is traced
    refusals=(
        Refusal("RuntimeError", "does not currently support double backward", _DOUBLE),
        Refusal(
            "Unsupported",
            "",
            "https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/"
            "compile/programming_model.fullgraph_true.html",
        ),
        FUNCTIONAL,
    ),
    limits=tuple(
        Limit(laws, reason, link, backend)
        for backend in ("aot_*", "inductor*")
        for laws, reason, link in (
            (
                (
                    "saved-tensors.input-of-node",
                    "saved-tensors.output-of-node:*",
                    "saved-tensors.freed:*",
                    "saved-tensors.raw-hooks*",
                ),
                "a compiled function is one node, which has its own saved tensors",
                "https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/"
                "torch.compiler_faq.html",
            ),
            (
                ("operators.in-place-version:*",),
                "what is written is copied into the argument when the function ends",
                "https://dev-discuss.pytorch.org/t/"
                "functionalization-in-pytorch-everything-you-wanted-to-know/965",
            ),
        )
    ),
)

COMPILED_AUTOGRAD = Mode(
    "compiled-autograd",
    "backward passes are compiled: compiled-autograd[:BACKEND], eager if none is named",
    "https://docs.pytorch.org/tutorials/intermediate/compiled_autograd_tutorial.html",
    around=compiled_backward,
    parameters=backward_compilations,
    session=compiling,
    preparation=compile_seconds,
)

MODES = (COMPILE, COMPILED_AUTOGRAD)
