"""Many random draws in tensors of some layout, held against the distribution they should have."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from conformance import compare
from conformance.reference import distributions
from conformance.target import Target, resolve

COUNT = 32768

SMALL = {"few": 15, "some": 23}
"""Elements of a tensor, of many small ones: kernels may take another path below 16 of them."""

ARRANGEMENTS = ("whole", *SMALL, "gaps")


def follows(
    values: compare.Array,
    kind: str,
    parameters: tuple[Any, ...],
    grid: float = 0.0,
    ulp: float = 0.0,
) -> None:
    """Check the share of draws up to each of 512 of them against the distribution function.

    It refutes a fair generator with a probability of at most 1e-15
    (``distributions.FALSE_ALARM``), by a bound that holds for every size of sample. ``grid`` is
    the dtype's ulp at 1 where probabilities are rounded, ``ulp`` where draws are: of a dtype of b
    significant bits that is drawn from a grid, 2**-b apart on the scale of probability, the bound
    is wider by 3 * 2**-b, and a value may be 4 ulps off.
    """
    places = distributions.quantiles(values, 512)
    shares = distributions.share_up_to(values, places)
    limit = distributions.empirical_limit(values.size) + 1.5 * grid
    nudge = np.where(np.isfinite(places), 4 * ulp * np.abs(places), 0.0)
    least = distributions.CDFS[kind](places - nudge, *parameters) - limit
    most = distributions.CDFS[kind](places + nudge, *parameters) + limit
    ok = (shares >= least) & (shares <= most)
    what = f"a number with as many draws up to it as the distribution says, within {limit:.3g}"
    compare.every(ok, torch.from_numpy(places), what)


def spread_out(count: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return a view of ``count`` elements with gaps, in two dimensions, the first innermost."""
    memory = torch.zeros((count // 64, 128), dtype=dtype, device=device)
    return memory[:, ::2].t()


def filled(
    target: Target, name: str, arguments: tuple[Any, ...], dtype: torch.dtype, arrangement: str
) -> compare.Array:
    """Return draws in one tensor of an odd size, in one with gaps, or in many small ones."""
    if arrangement == "gaps":
        tensor = spread_out(COUNT, dtype, target.device)
        return compare.to_numpy(target.run(name, tensor, *arguments))
    if arrangement == "whole":
        tensor = torch.zeros(COUNT - 7, dtype=dtype, device=target.device)
        return compare.to_numpy(target.run(name, tensor, *arguments))
    size = SMALL[arrangement]
    rows = torch.zeros((COUNT // size, size), dtype=dtype, device=target.device)
    draw = resolve(name)
    return compare.to_numpy(torch.stack([draw(row, *arguments) for row in rows.unbind()]))
