"""Saboteurs: small faults put into torch on purpose, each of which named laws must catch.

A module of this package that has a table ``SABOTEURS`` adds it.
"""

from importlib import import_module
from pkgutil import iter_modules

from tests.saboteurs.saboteur import Saboteur

SABOTEURS: tuple[Saboteur, ...] = tuple(
    saboteur
    for module in sorted(found.name for found in iter_modules(__path__))
    for saboteur in getattr(import_module(f"{__name__}.{module}"), "SABOTEURS", ())
)

__all__ = ["SABOTEURS", "Saboteur"]
