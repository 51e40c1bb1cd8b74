"""The options of a run of laws: what a user may say, and whether a command line speaks of laws.

Imported into every pytest run of an environment that has the suite installed, so it imports
nothing heavy.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.profiles import DEFAULT, PROFILES, Profile

OPTIONS = (
    "target", "profile", "max_examples", "law", "chapter", "deviations", "record", "load",
    "explain", "law_timeout", "shard", "capabilities", "law_memory", "isolate", "crash_budget",
)  # fmt: skip

CRASH_BUDGET = 120.0


def _destination(option: str) -> str:
    return f"conformance_{option}"


def _describe(profile: Profile) -> str:
    inputs = "the same every time" if profile.derandomized else "new every time"
    default = " (default)" if profile.name == DEFAULT else ""
    dear = f" ({profile.dear} of a dear one)" if profile.dear != profile.examples else ""
    return f"{profile.name}{default}: {profile.examples} examples a law{dear}, {inputs}"


def _positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of examples; write 1 or more")
    return int(text)


def _number_of_laws(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of laws; write 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write such as 60")
    return seconds


def _positive_seconds(text: str) -> float:
    seconds = _seconds(text)
    if not seconds:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write such as 60")
    return seconds


def _positive_gibibytes(text: str) -> float:
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not size > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no size in GiB; write such as 4")
    return size


def _shard(text: str) -> str:
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no shard; write such as 2/8, from 1/8 on")
    return text


def declare(add: Callable[..., Any]) -> None:
    """Declare the options of a run of laws through pytest's or argparse's way to add one."""

    def option(name: str, **attributes: Any) -> None:
        add(name, dest=_destination(name.removeprefix("--").replace("-", "_")), **attributes)

    option(
        "--target", action="append", metavar="DEVICE[/MODE]",
        help="what is under test: cpu, cuda:0, cpu/compile:eager ...; repeatable (default: cpu)",
    )  # fmt: skip
    option(
        "--profile", choices=list(PROFILES),
        help="how hard to try: " + "; ".join(map(_describe, PROFILES.values())),
    )  # fmt: skip
    option(
        "--max-examples", type=_positive_integer, metavar="N",
        help="examples a law, instead of the profile's number",
    )  # fmt: skip
    option(
        "--law", action="append", metavar="GLOB",
        help="run only laws whose id matches, such as 'scatter*'; repeatable "
        "(list the ids with: conformance list laws)",
    )  # fmt: skip
    option(
        "--chapter", action="append", metavar="NAME",
        help="run only this chapter, such as accumulation; repeatable",
    )  # fmt: skip
    option(
        "--deviations", action="append", type=Path, metavar="FILE",
        help="TOML file of known violations, beside the shipped one; repeatable",
    )  # fmt: skip
    option(
        "--capabilities", action="append", type=Path, metavar="FILE",
        help="TOML file of what a target does not claim to have, beside the shipped one; "
        "repeatable",
    )  # fmt: skip
    option("--record", type=Path, metavar="FILE", help="write verdicts as JSON lines to FILE")
    option(
        "--load", action="append", metavar="MODULE",
        help="import MODULE first, so that a device it brings is registered; repeatable",
    )  # fmt: skip
    option(
        "--explain", action="store_true", default=None,
        help="let Hypothesis say which parts of a counterexample do not matter (slow)",
    )  # fmt: skip
    option(
        "--law-timeout", type=_positive_seconds, metavar="SECONDS",
        help="end a law that takes longer, with verdict timeout (default: the profile's)",
    )  # fmt: skip
    option(
        "--law-memory", type=_positive_gibibytes, metavar="GIB",
        help="memory that a process of laws may hold: an allocation beyond it fails, and with it "
        "the law (default: its share of three quarters of the machine's)",
    )  # fmt: skip
    option(
        "--isolate", nargs="?", const=1, type=_number_of_laws, metavar="N",
        help="examine each law in a process of its own, or N laws in each: what one leaves behind "
        "in the process, such as leaked memory, reaches no other",
    )  # fmt: skip
    option(
        "--crash-budget", type=_seconds, metavar="SECONDS",
        help="spend so long on the smallest inputs that crash, a quarter of it on one law "
        f"(default: {CRASH_BUDGET:g}; 0: take the first that come)",
    )  # fmt: skip
    option(
        "--shard", type=_shard, metavar="K/N",
        help="run only the K-th of N parts of the laws, each of which is in one part; "
        "put the records together with: conformance merge",
    )  # fmt: skip


def add_options(parser: pytest.Parser) -> None:
    """Declare the options of a run of laws to pytest."""
    group = parser.getgroup("conformance", "laws of PyTorch (run: pytest --pyargs conformance)")
    declare(group.addoption)


def options_of(config: pytest.Config) -> dict[str, Any]:
    """Return the options as given, None where not given."""
    return {name: config.getoption(_destination(name)) for name in OPTIONS}


def budget_of(options: dict[str, Any]) -> float:
    """Return how many seconds a run spends on shrinking crashes."""
    given: float | None = options["crash_budget"]
    return CRASH_BUDGET if given is None else given


def asks_for_laws(config: pytest.Config) -> bool:
    """Whether the command line speaks of laws: an option of ours, or a path to our laws."""
    if any(value is not None for value in options_of(config).values()):
        return True
    package = Path(__file__).parent
    for argument in config.args:
        name = argument.partition("::")[0]
        if name.split(".")[0] == "conformance" and config.getoption("pyargs"):
            return True
        if package in (Path(name).absolute(), *Path(name).absolute().parents):
            return True
    return False


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")
