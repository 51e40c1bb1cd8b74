"""Saboteurs: small faults put into torch on purpose, each of which named laws must catch."""

from tests.saboteurs import autograd, creation, indexing, modes, optimizers, random
from tests.saboteurs.saboteur import Saboteur

SABOTEURS: tuple[Saboteur, ...] = (
    *creation.SABOTEURS,
    *random.SABOTEURS,
    *indexing.SABOTEURS,
    *autograd.SABOTEURS,
    *modes.SABOTEURS,
    *optimizers.SABOTEURS,
)

__all__ = ["SABOTEURS", "Saboteur"]
