"""Faults in the Jacobians, Hessians and third derivatives of torch.func."""

from __future__ import annotations

from typing import Any

from tests.saboteurs.faults import changed
from tests.saboteurs.func import Tensor, several, slightly_larger, transforming
from tests.saboteurs.saboteur import Saboteur


def _last_larger(found: Any) -> Any:
    return changed(found, lambda tensor: tensor * 1.001, -1)


def _falling_argnums(argnums: Any = 0, **_: Any) -> bool:
    return isinstance(argnums, tuple) and list(argnums) != sorted(argnums)


def _in_chunks(argnums: Any = 0, chunk_size: int | None = None, **_: Any) -> bool:
    return chunk_size == 2


def _in_rows(argnums: Any = 0, chunk_size: int | None = None, **_: Any) -> bool:
    return chunk_size == 1


def _last_row_of_last(found: Any) -> Any:
    """The last row of the last chunk is off."""

    def spoiled(tensor: Tensor) -> Tensor:
        rows = tensor.clone()
        rows.reshape(-1)[-1:] *= 1.001
        return rows

    return changed(found, spoiled)


def _rank_zero(found: Any) -> Any:
    return changed(found, lambda tensor: tensor if tensor.dim() else tensor * 1.001)


def _empty_flat(found: Any) -> Any:
    return changed(found, lambda tensor: tensor if tensor.numel() else tensor.reshape(-1))


def _even_larger(found: Any) -> Any:
    """Off where a matrix's first two rows are alike in shape: expanded arguments."""
    return changed(found, lambda t: t * 1.001 if t.dim() > 1 and t.shape[0] == 2 else t)


def _last_key_larger(found: Any) -> Any:
    return {**found, "parts": _last_larger(found["parts"])} if isinstance(found, dict) else found


SABOTEURS = (
    Saboteur(
        "func-jacrev-falling-argnums", "func.jacrev is 0.1 % off if argnums fall",
        ("func.jacobian:jacrev",), "Jacobian",
        transforming("jacrev", _last_larger, _falling_argnums),
    ),
    Saboteur(
        "func-jacrev-last-chunk", "the last row of func.jacrev's chunks is 0.1 % off",
        ("func.jacobian:jacrev-in-chunks",), "Jacobian",
        transforming("jacrev", _last_row_of_last, _in_chunks),
    ),
    Saboteur(
        "func-jacrev-in-rows", "the last row of func.jacrev, one by one, is 0.1 % off",
        ("func.jacobian:jacrev-in-rows",), "Jacobian",
        transforming("jacrev", _last_row_of_last, _in_rows),
    ),
    Saboteur(
        "func-jacfwd-several", "func.jacfwd is 0.1 % off to the last of several arguments",
        ("func.jacobian:jacfwd",), "Jacobian", transforming("jacfwd", _last_larger, several),
    ),
    Saboteur(
        "func-jacfwd-slightly-larger", "func.jacfwd is off by 1e-8",
        ("func.jacobian-smooth:jacfwd",), "rounding explains",
        transforming("jacfwd", slightly_larger),
    ),
    Saboteur(
        "func-jacrev-of-scalar", "func.jacrev is 0.1 % off for scalars",
        ("func.jacobian-of-tensor:jacrev",), "Jacobian", transforming("jacrev", _rank_zero),
    ),
    Saboteur(
        "func-jacrev-of-empty", "func.jacrev of an empty result is flat",
        ("func.jacobian-of-nothing:jacrev",), "Jacobian", transforming("jacrev", _empty_flat),
    ),
    Saboteur(
        "func-jacrev-of-expanded", "func.jacrev is 0.1 % off if the result's first side is 2",
        ("func.jacobian-of-expanded:jacrev",), "Jacobian", transforming("jacrev", _even_larger),
    ),
    Saboteur(
        "func-jacobian-of-last-key", "func.jacfwd is 0.1 % off in the last part of a dictionary",
        ("func.jacobian-of-structures:jacfwd",), "Jacobian of parts",
        transforming("jacfwd", _last_key_larger),
    ),
    Saboteur(
        "func-hessian-several", "func.hessian is 0.1 % off in the last row of blocks",
        ("func.hessian:hessian",), "Hessian", transforming("hessian", _last_larger, several),
    ),
    Saboteur(
        "func-hessian-slightly-larger", "func.jacrev is off by 1e-8 when it is the outer one",
        ("func.hessian-smooth:reverse-over-reverse",), "rounding explains",
        transforming("jacrev", slightly_larger),
    ),
    Saboteur(
        "func-third-derivative", "func.grad of a function cuts what comes third",
        ("func.third-derivative:grad-of-grad-of-grad",), "third derivative",
        transforming("grad", lambda found: found * (1 + 1e-7)),
    ),
)  # fmt: skip
