"""Faults in dropout."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.saboteur import Patch, Saboteur, replacing


def _dropout(change: Any, name: str = "dropout") -> Patch:
    def make(original: Any) -> Any:
        def dropout(
            source: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
        ) -> torch.Tensor:
            result: torch.Tensor = change(original, source, p, training, inplace)
            return result

        return dropout

    return replacing(torch.nn.functional, name, make)


def _always_drops(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    return original(source, p, training or p > 0.75, inplace)


def _least_chance(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    return original(source, max(p, 0.01), training, inplace)


def _most_chance(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    return original(source, min(p, 0.99), training, inplace)


def _half_unscaled(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    result = original(source, p, training, inplace)
    return result * (1 - p) if training and source.dtype == torch.float16 else result


def _kept_not_dropped(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    return original(source, 1 - p, training, inplace) * ((p or 1) / ((1 - p) or 1))


def _elements(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    elementwise = training and source.dim() == 4 and 0 < p < 1
    return torch.dropout(source, p, True) if elementwise else original(source, p, training, inplace)


def _reduced_scale(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    result = original(source, p, training, inplace)
    return result * 1.0001 if training and source.dtype == torch.float64 else result


def _other_mask(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    forward = original(source, p, training, inplace)
    if not source.requires_grad:
        return forward
    again = original(source, p, training, inplace)
    return again + (forward - again).detach()


def _unscaled_gradient(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    result = original(source, p, training, inplace)
    mask = (result != 0).to(source.dtype)
    return source * mask + (result - source * mask).detach() if source.requires_grad else result


def _never_in_place(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    return original(source, p, training, inplace and source.is_contiguous())


def _accepts_all(original: Any, source: Any, p: float, training: bool, inplace: bool) -> Any:
    return original(source, min(max(p, 0.0), 1.0) if not training else p, training, inplace)


def _neighbours_together(original: Any, source: Any, p: float, training: bool, _: bool) -> Any:
    mask = original(torch.ones_like(source), p, training)
    if source.dim() > 1 and source.shape[1] % 2 == 0:
        mask = mask[:, ::2].repeat_interleave(2, 1)
    return source * mask


def _forgets_eval(original: Any) -> Any:
    def forward(self: Any, source: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(source, self.p, True, self.inplace)

    return forward


def _default_chance(original: Any) -> Any:
    def forward(self: Any, source: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout2d(source, 0.5, self.training, self.inplace)

    return forward


SABOTEURS = (
    Saboteur(
        "dropout-in-evaluation", "dropout with p above 3/4 drops in evaluation too",
        ("dropout.evaluation:dropout",), "result", _dropout(_always_drops),
    ),
    Saboteur(
        "alpha_dropout-least", "alpha_dropout drops a hundredth where p is 0",
        ("dropout.nothing-dropped:alpha_dropout",), "result",
        _dropout(_least_chance, "alpha_dropout"),
    ),
    Saboteur(
        "dropout-most", "dropout keeps a hundredth where p is 1",
        ("dropout.all-dropped:dropout",), "result", _dropout(_most_chance),
    ),
    Saboteur(
        "dropout-half-unscaled", "dropout of float16 does not scale what survives",
        ("dropout.values:dropout", "dropout.scale:dropout"), "result", _dropout(_half_unscaled),
    ),
    Saboteur(
        "dropout2d-elements", "dropout2d zeroes elements, not channels",
        ("dropout.values:dropout2d",), "a channel zeroed as a whole",
        _dropout(_elements, "dropout2d"),
    ),
    Saboteur(
        "dropout1d-scale", "dropout1d of float64 scales by a ten-thousandth too much",
        ("dropout.scale:dropout1d",), "result", _dropout(_reduced_scale, "dropout1d"),
    ),
    Saboteur(
        "dropout-other-mask", "dropout's gradient draws a mask of its own",
        ("dropout.gradient:dropout",), "gradient", _dropout(_other_mask),
    ),
    Saboteur(
        "dropout3d-gradient-unscaled", "dropout3d's gradient is not scaled",
        ("dropout.gradient:dropout3d",), "gradient", _dropout(_unscaled_gradient, "dropout3d"),
    ),
    Saboteur(
        "dropout-strided-in-place", "dropout does not write to strided inputs in place",
        ("dropout.in-place:dropout",), "input", _dropout(_never_in_place),
    ),
    Saboteur(
        "dropout-evaluation-unchecked", "dropout does not check p in evaluation",
        ("dropout.rejects:dropout",), "raised nothing", _dropout(_accepts_all),
    ),
    Saboteur(
        "dropout-module-forgets-eval", "nn.Dropout drops in eval too",
        ("dropout.module:Dropout",), "in eval",
        replacing(torch.nn.Dropout, "forward", _forgets_eval),
    ),
    Saboteur(
        "dropout2d-module-default", "nn.Dropout2d drops with p = 1/2 whatever it is told",
        ("dropout.module:Dropout2d",), "in training",
        replacing(torch.nn.Dropout2d, "forward", _default_chance),
    ),
    Saboteur(
        "dropout-keeps-p", "dropout keeps elements with probability p",
        ("dropout.share:dropout",), "dropped", _dropout(_kept_not_dropped),
    ),
    Saboteur(
        "dropout-neighbours", "dropout drops neighbouring rows together",
        ("dropout.share:dropout",), "pairs dropped", _dropout(_neighbours_together),
    ),
)  # fmt: skip
