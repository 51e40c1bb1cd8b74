"""Examine a law under each fault of the device ``hosted``; one JSON line a fault.

``python -m tests.backends FAULT=LAW ...`` in a process of its own, since a backend is for ever.
"""

from __future__ import annotations

import json
import sys

from conformance.examine import Examination
from conformance.profiles import PROFILES
from conformance.target import open_target
from tests.backends.faults import plant
from tests.saboteurs.saboteur import find_law


def main() -> None:
    target = open_target("hosted")
    for argument in sys.argv[1:]:
        fault, _, law_id = argument.partition("=")
        take_out = plant(fault)
        law, case = find_law(law_id)
        verdict = Examination(law, case, target, PROFILES["ci"].allotted(law)).verdict()
        take_out()
        print(json.dumps([fault, verdict.verdict, verdict.message]), flush=True)


main()
