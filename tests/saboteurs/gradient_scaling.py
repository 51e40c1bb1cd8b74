"""Faults in gradient scaling: when it grows, what is skipped, what is divided twice."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.amp import GradScaler

from tests.saboteurs.faults import accepting, rewriting
from tests.saboteurs.saboteur import Saboteur, replacing


def _outer_only(original: Any) -> Any:
    def scale(self: Any, outputs: Any) -> Any:
        if isinstance(outputs, tuple):
            return tuple(original(self, o) if isinstance(o, torch.Tensor) else o for o in outputs)
        return original(self, outputs)

    return scale


def _keeps_streak(original: Any) -> Any:
    """An overflow does not end the streak of iterations without one."""

    def update(
        scale: Any, tracker: Any, found: Any, growth: Any, backoff: Any, interval: int
    ) -> Any:
        streak = int(tracker)
        result = original(scale, tracker, found, growth, backoff, interval)
        if float(found) > 0:
            tracker.fill_(streak)
        return result

    return update


def _first_only(original: Any) -> Any:
    """Only overflows in the first optimizer shrink the scale."""

    def update(self: Any, new_scale: Any = None) -> Any:
        states = list(self._per_optimizer_states.values()) if self._enabled else []
        if new_scale is None and len(states) > 1:
            for found in states[1]["found_inf_per_device"].values():
                found.zero_()
        return original(self, new_scale)

    return update


def _nan_passes(original: Any) -> Any:
    def check(grads: Any, found: Any, inverse: Any) -> Any:
        nans = [g.isnan() for g in grads]
        clean = [torch.where(n, torch.ones_like(g), g) for g, n in zip(grads, nans, strict=True)]
        original(clean, found, inverse)
        for g, c, n in zip(grads, clean, nans, strict=True):
            g.copy_(torch.where(n, torch.full_like(g, math.nan), c))

    return check


def _unscales_clipped(original: Any) -> Any:
    """A step after unscale_ divides by the scale again where that is large."""

    def step(self: Any, optimizer: Any, *arguments: Any, **words: Any) -> Any:
        state = self._per_optimizer_states[id(optimizer)] if self._enabled else {}
        done = state and state["stage"].name == "UNSCALED" and self.get_scale() > 1000
        if done:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad.div_(self.get_scale())
        return original(self, optimizer, *arguments, **words)

    return step


def _overflow_ignored(original: Any) -> Any:
    """Overflow is overlooked where the first element tells of several passes."""

    def check(grads: Any, found: Any, inverse: Any) -> Any:
        result = original(grads, found, inverse)
        if all(float(g.flatten()[0]) > 1 for g in grads):
            found.zero_()
        return result

    return check


def _streak_unsaved(original: Any) -> Any:
    def load(self: Any, state: Any) -> Any:
        return original(self, {**state, "_growth_tracker": 0} if state else state)

    return load


def _aliased(original: Any) -> Any:
    def update(self: Any, new_scale: Any = None) -> Any:
        result = original(self, new_scale)
        if isinstance(new_scale, torch.Tensor):
            self._scale = new_scale
        return result

    return update


def _swallows(original: Any) -> Any:
    def step(self: Any, optimizer: Any, *arguments: Any, **words: Any) -> Any:
        if arguments and "word" in words:
            words = {"word": None}
        return original(self, optimizer, *arguments, **words)

    return step


def _checks_anyway(original: Any) -> Any:
    """A disabled scaler skips steps that overflow all the same."""

    def step(self: Any, optimizer: Any, *arguments: Any, **words: Any) -> Any:
        if not self._enabled:
            grads = [p.grad for g in optimizer.param_groups for p in g["params"]]
            if not all(bool(g.isfinite().all()) for g in grads if g is not None):
                return None
        return original(self, optimizer, *arguments, **words)

    return step


def _first_alone(original: Any) -> Any:
    """Of several gradients the first alone is looked at."""

    def unscale(self: Any, optimizer: Any, inverse: Any, found: Any, allow: bool) -> Any:
        gradients = [
            p.grad for g in optimizer.param_groups for p in g["params"] if p.grad is not None
        ]
        result = original(self, optimizer, inverse, found, allow)
        first = gradients[0].coalesce().values() if gradients[0].is_sparse else gradients[0]
        if len(gradients) > 2 and bool(torch.isfinite(first).all()):
            for seen in result.values():
                seen.zero_()
        return result

    return unscale


def _dense_alone(original: Any) -> Any:
    """Sparse gradients beside others are divided twice."""

    def unscale(self: Any, optimizer: Any, inverse: Any, found: Any, allow: bool) -> Any:
        result = original(self, optimizer, inverse, found, allow)
        parameters = [p for g in optimizer.param_groups for p in g["params"]]
        for parameter in parameters if len(parameters) > 1 else []:
            if parameter.grad is not None and parameter.grad.is_sparse:
                parameter.grad = parameter.grad * inverse
        return result

    return unscale


def _never_told(original: Any) -> Any:
    """A fused optimizer is not told of an overflow where gradients were unscaled before."""

    def step(self: Any, optimizer: Any, *arguments: Any, **words: Any) -> Any:
        states = self._per_optimizer_states[id(optimizer)] if self._enabled else {}
        if getattr(optimizer, "_step_supports_amp_scaling", False):
            for found in states["found_inf_per_device"].values():
                found.zero_()
        return original(self, optimizer, *arguments, **words)

    return step


def _loads_anyway(original: Any) -> Any:
    def load(self: Any, state: Any) -> Any:
        if not self._enabled:
            self.__init__("cpu", init_scale=state["scale"])
        return original(self, state)

    return load


SABOTEURS = (
    Saboteur("scaling-first-parameter", "of three gradients the first alone is looked at",
             ("scaling.any-parameter:single",), "parameter",
             replacing(GradScaler, "_unscale_grads_", _first_alone)),
    Saboteur("scaling-sparse", "sparse gradients beside others are divided twice",
             ("scaling.any-parameter:sparse",), "parameter",
             replacing(GradScaler, "_unscale_grads_", _dense_alone)),
    Saboteur("scaling-fused", "a fused optimizer steps by infinity if it was unscaled before",
             ("scaling.fused:Adam",), "parameter",
             replacing(GradScaler, "step", _never_told)),
    Saboteur("scaling-half", "gradients of float16 are unscaled", ("scaling.half",),
             "raised nothing", rewriting(GradScaler, "_unscale_grads_", lambda *a: (
                 (*a[:-1], True), {}))),
    Saboteur("scaling-disabled-state", "a disabled scaler is enabled by what it loads",
             ("scaling.disabled-state",), "enabled, scale, state",
             replacing(GradScaler, "load_state_dict", _loads_anyway)),
    Saboteur("scaling-nested", "scale leaves lists within tuples as they are",
             ("scaling.scaled",), "scaled loss", replacing(GradScaler, "scale", _outer_only)),
    Saboteur("scaling-streak", "an overflow does not end the streak",
             ("scaling.history",), "scale after iteration",
             replacing(torch, "_amp_update_scale_", _keeps_streak)),
    Saboteur("scaling-first", "an overflow in the second optimizer does not shrink the scale",
             ("scaling.history",), "scale after iteration",
             replacing(GradScaler, "update", _first_only)),
    Saboteur("scaling-nan", "nan is no overflow",
             ("scaling.history",), "scale after iteration",
             replacing(torch, "_amp_foreach_non_finite_check_and_unscale_", _nan_passes)),
    Saboteur("scaling-twice", "what was unscaled is unscaled again at large scales",
             ("scaling.unscaled",), "parameter", replacing(GradScaler, "step", _unscales_clipped)),
    Saboteur("scaling-accumulated", "an overflow of sums is overlooked",
             ("scaling.accumulated",), "parameter",
             replacing(torch, "_amp_foreach_non_finite_check_and_unscale_", _overflow_ignored)),
    Saboteur("scaling-state", "the streak is not restored",
             ("scaling.state",), "scale after iteration",
             replacing(GradScaler, "load_state_dict", _streak_unsaved)),
    Saboteur("scaling-aliased", "a new scale is the tensor given itself",
             ("scaling.new-scale",), "new scale", replacing(GradScaler, "update", _aliased)),
    Saboteur("scaling-disabled", "a disabled scaler skips steps",
             ("scaling.disabled",), "parameter", replacing(GradScaler, "step", _checks_anyway)),
    Saboteur("scaling-words", "step does not pass a keyword on",
             ("scaling.returned",), "what step returned", replacing(GradScaler, "step", _swallows)),
    Saboteur("scaling-empty-state", "an empty state is loaded",
             ("scaling.refused:empty-state",), "raised nothing",
             accepting(GradScaler, "load_state_dict", RuntimeError, lambda *a: None)),
)  # fmt: skip
