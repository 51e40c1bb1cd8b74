"""Faults in checkpoints: what is saved, loaded, copied, and hooks around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from tests.saboteurs.saboteur import Patch, Saboteur, after, replacing

Tensor = torch.Tensor
Options = dict[str, Any]

AFTER = "after step"


def _load_spoils(cls: type, spoil: Callable[[Any], None]) -> Patch:
    def make(original: Any) -> Any:
        def load(self: Any, state_dict: Any) -> None:
            original(self, state_dict)
            with torch.no_grad():
                spoil(self)

        return load

    return replacing(cls, "load_state_dict", make)


def _buffer_unrestored(self: Any) -> None:
    for state in self.state.values():
        if "momentum_buffer" in state:
            state["momentum_buffer"].mul_(0.999)


def _largest_unrestored(self: Any) -> None:
    for state in self.state.values():
        if "max_exp_avg_sq" in state:
            state["max_exp_avg_sq"].copy_(state["exp_avg_sq"])


def _step_unrestored(self: Any) -> None:
    for state in self.state.values():
        if float(state.get("step", 0)) >= 3:
            state["step"] -= 1


def _old_state_stays(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        before = dict(self.state)
        original(self, state_dict)
        for parameter, state in before.items():
            if parameter not in self.state and "square_avg" in state:
                self.state[parameter] = state

    return load


def _rounds_state(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        original(self, state_dict)
        for state in self.state.values():
            for name, value in state.items():
                if name != "step" and isinstance(value, Tensor) and value.dtype == torch.bfloat16:
                    state[name] = (value * 1.01).to(value.dtype)

    return load


def _step_cast(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        original(self, state_dict)
        for parameter, state in self.state.items():
            if isinstance(state.get("step"), Tensor):
                state["step"] = state["step"].to(parameter.dtype)

    return load


def _copies_share(original: Any) -> Any:
    def getstate(self: Any) -> Any:
        state = original(self)
        return {**state, "state": type(state["state"])(dict)} if len(state["state"]) else state

    return getstate


def _ids_from_one(saved: Any) -> Any:
    for group in saved["param_groups"]:
        group["params"] = [number + 1 for number in group["params"]]
    saved["state"] = {number + 1: state for number, state in saved["state"].items()}
    return saved


def _drops_options(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        before = [group.get("eps") for group in self.param_groups]
        original(self, state_dict)
        for group, value in zip(self.param_groups, before, strict=True):
            if value is not None:
                group["eps"] = value

    return load


def _groups_shared(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        original(self, state_dict)
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            saved.update({k: v for k, v in group.items() if k != "params"})
        self.param_groups = [
            _Following(saved, group)
            for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True)
        ]

    return load


class _Following(dict):  # type: ignore[type-arg]
    """A group whose options are written to the saved one as well."""

    def __init__(self, saved: Any, group: Any) -> None:
        super().__init__(group)
        self.saved = saved

    def __setitem__(self, name: Any, value: Any) -> None:
        super().__setitem__(name, value)
        if name == "lr":
            self.saved[name] = value


def _loads_before_it_refuses(original: Any) -> Any:
    def load(self: Any, state_dict: Any) -> None:
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=False):
            group["lr"] = saved["lr"]
        original(self, state_dict)

    return load


def _never_prepends(original: Any) -> Any:
    def register(self: Any, hook: Any, prepend: bool = False) -> Any:
        return original(self, hook)

    return register


def _hook_result_ignored(original: Any) -> Any:
    def register(self: Any, hook: Any, prepend: bool = False) -> Any:
        return original(self, lambda *given: (hook(*given), None)[1], prepend)

    return register


def _later_results_ignored(original: Any) -> Any:
    def register(self: Any, hook: Any, prepend: bool = False) -> Any:
        first = not self._optimizer_load_state_dict_pre_hooks
        heard = hook if first else (lambda *given: (hook(*given), None)[1])
        return original(self, heard, prepend)

    return register


def _zero_grad_decays(original: Any) -> Any:
    def zero(self: Any, set_to_none: bool = True) -> None:
        original(self, set_to_none)
        if not set_to_none:
            for state in self.state.values():
                for name in ("exp_avg", "momentum_buffer", "square_avg", "sum"):
                    if isinstance(state.get(name), Tensor):
                        state[name].mul_(0.999)

    return zero


def _all(law: str, *labels: str) -> tuple[str, ...]:
    return tuple(f"optimizer.{law}:{label}" for label in labels)


SABOTEURS = (
    Saboteur(
        "momentum-not-restored", "a loaded momentum buffer is 0.1 % off",
        _all("state-dict-continues", "SGD", "RMSprop-foreach"), "after the checkpoint",
        _load_spoils(Optimizer, _buffer_unrestored),
    ),
    Saboteur(
        "largest-moment-not-restored", "Adam loads the second moment for its maximum",
        _all("state-dict-continues", "Adam", "AdamW-fused"), "after the checkpoint",
        _load_spoils(Optimizer, _largest_unrestored),
    ),
    Saboteur(
        "old-state-stays", "state of parameters that the loaded dict has none for stays",
        _all("saved-state-continues", "RMSprop", "Adadelta"), "after the checkpoint",
        replacing(Optimizer, "load_state_dict", _old_state_stays),
    ),
    Saboteur(
        "steps-not-restored", "a count of three steps or more is loaded as one less",
        _all("saved-state-continues", "Adam", "NAdam"), "after the checkpoint",
        _load_spoils(Optimizer, _step_unrestored),
    ),
    Saboteur(
        "bfloat16-state-off", "state of bfloat16 parameters is loaded 1 % off",
        _all("state-continues-in-bfloat16", "Adam"), "after the checkpoint",
        replacing(Optimizer, "load_state_dict", _rounds_state),
    ),
    Saboteur(
        "copies-start-over", "a copy of an optimizer has no state",
        _all("copy-continues", "SGD", "Adadelta"), "after the checkpoint",
        replacing(Optimizer, "__getstate__", _copies_share),
    ),
    Saboteur(
        "ids-from-one", "ids in a state_dict begin with 1",
        _all("state-dict-contents", "SGD", "LBFGS"), "ids",
        after(Optimizer, "state_dict", _ids_from_one),
    ),
    Saboteur(
        "eps-not-restored", "load_state_dict keeps the constructor's eps",
        _all("load-restores-options", "Adam", "RMSprop"), "eps",
        replacing(Optimizer, "load_state_dict", _drops_options),
    ),
    Saboteur(
        "loaded-groups-shared", "a loaded group writes its rate to the dict it is from",
        _all("loaded-is-separate", "SGD-options", "LBFGS-options"), "lr in the state_dict",
        replacing(Optimizer, "load_state_dict", _groups_shared),
    ),
    Saboteur(
        "loaded-step-cast", "load_state_dict casts counts to the parameter's dtype",
        _all("loaded-state-dtype", "Adam", "Rprop"), "step",
        replacing(Optimizer, "load_state_dict", _step_cast),
    ),
    Saboteur(
        "load-changes-before-it-refuses", "load_state_dict takes rates of a dict that it refuses",
        _all("load-mismatch-raises", "fewer-groups", "fewer-parameters"), "lr after the refusal",
        replacing(Optimizer, "load_state_dict", _loads_before_it_refuses),
    ),
    Saboteur(
        "never-prepended", "a hook on load_state_dict is never prepended",
        _all("state-dict-hooks", "load-state-dict-pre"), "order of the hooks",
        replacing(Optimizer, "register_load_state_dict_pre_hook", _never_prepends),
    ),
    Saboteur(
        "hook-result-ignored", "what a hook on load_state_dict returns is ignored",
        _all("hooks-replace-state-dict", "both"), "lr after the load",
        replacing(Optimizer, "register_load_state_dict_pre_hook", _hook_result_ignored),
    ),
    Saboteur(
        "later-hook-result-ignored", "what a second hook on load_state_dict returns is ignored",
        _all("hooks-replace-state-dict", "both"), "lr after the load",
        replacing(Optimizer, "register_load_state_dict_pre_hook", _later_results_ignored),
    ),
    Saboteur(
        "zero-grad-decays-state", "zero_grad with set_to_none=False changes the state",
        _all("state-untouched", "Adam", "Adagrad"), "looked at",
        replacing(Optimizer, "zero_grad", _zero_grad_decays),
    ),
)  # fmt: skip
