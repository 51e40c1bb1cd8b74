"""Faults in grad modes: where they begin and end, and what they leave alone."""

from __future__ import annotations

import functools
import itertools
import threading
from typing import Any

import pytest
import torch
from torch.utils import _contextlib

from tests.saboteurs.faults import not_after_exceptions, rewriting
from tests.saboteurs.saboteur import Saboteur, after, replacing

Tensor = torch.Tensor


def _kept_after_key_error(original: Any) -> Any:
    def leave(self: Any, kind: Any, *rest: Any) -> None:
        if kind is not KeyError or self.mode:
            original(self, kind, *rest)

    return leave


def _cannot_enable_again(original: Any) -> Any:
    def make(self: Any, mode: bool) -> None:
        original(self, mode)
        if mode and not self.prev:
            torch._C._set_grad_enabled(False)

    return make


def _remembers_first_mode(original: Any) -> Any:
    def enter(self: Any) -> None:
        first = getattr(self, "first", None)
        original(self)
        self.first = self.prev if first is None else first
        self.prev = self.first

    return enter


def _decorates_without_restoring(original: Any) -> Any:
    return lambda self, function: _contextlib._DecoratorContextManager.__call__(self, function)


def _one_context_for_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.no_grad, "clone", lambda self: self)


def _loses_documentation(function: Any) -> Any:
    function.__doc__ = None
    return function


def _generators(resumed: str) -> Any:
    """Wrap generators so that one way of resuming them leaves the caller's mode on."""

    def wrap(context: Any, function: Any) -> Any:
        @functools.wraps(function)
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            generator = function(*arguments, **keywords)

            def resume(name: str, *values: Any) -> Any:
                if name == resumed:
                    return getattr(generator, name)(*values)
                with context():
                    return getattr(generator, name)(*values)

            try:
                response = resume("send", None)
                while True:
                    try:
                        request = yield response
                    except GeneratorExit:
                        resume("close")
                        raise
                    except BaseException as error:
                        response = resume("throw", error)
                    else:
                        response = resume("send", request)
            except StopIteration as stop:
                return stop.value

        return wrapped

    return lambda original: wrap


def _threads_inherit(monkeypatch: pytest.MonkeyPatch) -> None:
    start, run = threading.Thread.start, threading.Thread.run

    def starting(self: Any) -> None:
        self.grad_mode = torch.is_grad_enabled()
        start(self)

    def running(self: Any) -> None:
        torch._C._set_grad_enabled(self.grad_mode)
        run(self)

    monkeypatch.setattr(threading.Thread, "start", starting)
    monkeypatch.setattr(threading.Thread, "run", running)


def _recorded_flag_only(*arguments: Any, **keywords: Any) -> Any:
    if not torch.is_grad_enabled():
        keywords.pop("requires_grad", None)
    return arguments, keywords


def _only_where_enabled(original: Any) -> Any:
    def method(self: Tensor, *arguments: Any) -> Tensor:
        return original(self, *arguments) if torch.is_grad_enabled() else self

    return method


def _every_other_time(original: Any) -> Any:
    calls = itertools.count()

    def enter(self: Any) -> None:
        original(self)
        torch._C._set_grad_enabled(self.prev and next(calls) % 2 == 1)

    return enter


def _backward_enables(original: Any) -> Any:
    def backward(self: Tensor, *arguments: Any, **keywords: Any) -> None:
        original(self, *arguments, **keywords)
        torch._C._set_grad_enabled(True)

    return backward


def _cuts_what_it_writes(original: Any) -> Any:
    def multiply(self: Tensor, other: Any) -> Tensor:
        result = original(self, other)
        cuts = not torch.is_grad_enabled() and not self.is_leaf and not self._is_view()
        return result.detach_() if cuts else result

    return multiply


def _stops_forward_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    enter, leave = torch.no_grad.__enter__, torch.no_grad.__exit__

    def entering(self: Any) -> None:
        enter(self)
        torch._C._set_fwd_grad_enabled(False)

    def leaving(self: Any, *rest: Any) -> None:
        leave(self, *rest)
        torch._C._set_fwd_grad_enabled(True)

    monkeypatch.setattr(torch.no_grad, "__enter__", entering)
    monkeypatch.setattr(torch.no_grad, "__exit__", leaving)


def _enables(result: Any) -> Any:
    torch._C._set_grad_enabled(True)
    return result


SABOTEURS = (
    Saboteur(
        "enable-grad-kept-after-exception", "enable_grad lasts where an exception ends its block",
        ("grad-mode.nesting",), "grad mode and inference mode",
        replacing(torch.enable_grad, "__exit__", not_after_exceptions),
    ),
    Saboteur(
        "set-grad-kept-after-key-error", "set_grad_enabled(False) survives one kind of exception",
        ("grad-mode.exception-through-blocks:disabled",), "after the exception",
        replacing(torch.set_grad_enabled, "__exit__", _kept_after_key_error),
    ),
    Saboteur(
        "set-grad-cannot-enable-again", "set_grad_enabled(True), called, does nothing where off",
        ("grad-mode.set-as-function",), "grad mode",
        replacing(torch.set_grad_enabled, "__init__", _cannot_enable_again),
    ),
    Saboteur(
        "no-grad-remembers-first-mode", "no_grad restores the mode from its first use",
        ("grad-mode.context-reused:no_grad",), "afterwards",
        replacing(torch.no_grad, "__enter__", _remembers_first_mode),
    ),
    Saboteur(
        "set-grad-decorator-switches", "decorating with set_grad_enabled switches the mode",
        ("grad-mode.decorated:set_grad_enabled-false",), "after decorating",
        replacing(torch.set_grad_enabled, "__call__", _decorates_without_restoring),
    ),
    Saboteur(
        "no-grad-shared-by-recursion", "calls of a decorated function share one context manager",
        ("grad-mode.decorated-recursion:no_grad",), "mode", _one_context_for_all_calls,
    ),
    Saboteur(
        "decorator-loses-documentation", "no_grad as a decorator drops a function's documentation",
        ("grad-mode.decorated-name:no_grad",), "name and documentation",
        after(torch.no_grad, "__call__", _loses_documentation),
    ),
    *(
        Saboteur(
            f"generator-{resumed}-in-callers-mode", f"{resumed} runs a generator in the wrong mode",
            ("grad-mode.generator:no_grad", "grad-mode.generator:inference_mode"),
            "modes inside the body",
            replacing(_contextlib, "_wrap_generator", _generators(resumed)),
        )
        for resumed in ("throw", "close")
    ),
    Saboteur(
        "threads-inherit-grad-mode", "a new thread starts in the mode of its parent",
        ("grad-mode.threads:no_grad",), "modes of the other thread", _threads_inherit,
    ),
    Saboteur(
        "full-drops-flag-under-no-grad", "torch.full ignores requires_grad under no_grad",
        ("grad-mode.factories:full",), "requires_grad",
        rewriting(torch, "full", _recorded_flag_only),
    ),
    Saboteur(
        "requires-grad-ignored-under-no-grad", "requires_grad_ does nothing under no_grad",
        ("grad-mode.flags-kept:no_grad",), "afterwards",
        replacing(Tensor, "requires_grad_", _only_where_enabled),
    ),
    Saboteur(
        "no-grad-every-other-time", "every other no_grad block records",
        ("grad-mode.constants:no_grad",), "grad",
        replacing(torch.no_grad, "__enter__", _every_other_time),
    ),
    Saboteur(
        "backward-enables-grad", "backward leaves grad mode enabled",
        ("grad-mode.backward-inside:no_grad",), "after backward",
        replacing(Tensor, "backward", _backward_enables),
    ),
    Saboteur(
        "write-under-no-grad-detaches", "mul_ under no_grad cuts a result from its graph",
        ("grad-mode.in-place:no_grad",), "requires_grad",
        replacing(Tensor, "mul_", _cuts_what_it_writes),
    ),
    Saboteur(
        "no-grad-stops-forward-mode", "no_grad disables forward mode as well",
        ("grad-mode.forward-mode:no_grad",), "tangent", _stops_forward_mode,
    ),
    Saboteur(
        "initializer-enables-grad", "uniform_ of torch.nn.init leaves grad mode enabled",
        ("grad-mode.initializers:uniform_",), "is_grad_enabled afterwards",
        after(torch.nn.init, "uniform_", _enables),
    ),
)  # fmt: skip
