"""Faults in how arguments are taken: under other names, with other defaults, or none too many."""

from __future__ import annotations

from typing import Any

import torch

from tests.saboteurs.faults import accepting, rewriting
from tests.saboteurs.saboteur import Saboteur


def _swaps_names(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    if {"source", "destination"} <= set(keywords):
        source, destination = keywords["source"], keywords["destination"]
        keywords = {**keywords, "source": destination + 1, "destination": source}
    return arguments, keywords


def _other_correction(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    if keywords.get("correction") == 1:
        keywords["correction"] = 0
    return arguments, keywords


def _indices_from_one(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    if "indices" in keywords:
        keywords["indices"] = [index - 1 for index in keywords["indices"]]
    return arguments, keywords


SABOTEURS = (
    Saboteur(
        "moveaxis-names", "moveaxis takes source and destination the wrong way, by name alone",
        ("signatures.names:moveaxis",), "result 0", rewriting(torch, "moveaxis", _swaps_names),
    ),
    Saboteur(
        "dsplit-indices-named", "dsplit counts indices from 1 if they are given by name",
        ("signatures.split-names:dsplit-list",), "result 0",
        rewriting(torch, "dsplit", _indices_from_one),
    ),
    Saboteur(
        "std-default-named", "std takes correction=1 for 0, unlike its default",
        ("signatures.defaults:std",), "result 0", rewriting(torch, "std", _other_correction),
    ),
    Saboteur(
        "linspace-hundred", "linspace without steps makes 100 of them, as it did before torch 1.11",
        ("signatures.rejected:linspace-without-steps",), "raised nothing",
        accepting(torch, "linspace", TypeError, lambda start, end: torch.arange(100.0)),
    ),
)  # fmt: skip
