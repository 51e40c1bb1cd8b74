"""Measure generation, the laws, start-up and whole runs, each against a bare Hypothesis loop.

Figures are of this machine at this moment: compare ratios within one output. The bare loop is
``@given(st.integers())`` with an empty body, under Hypothesis's own settings.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import pkgutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from unittest import mock

import hypothesis.extra.numpy as hnp
import numpy as np
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import strategies
from conformance import compare, reference
from conformance.examine import Examination
from conformance.generation import hypothesis_settings
from conformance.law import Law, shipped_laws
from conformance.operators import judge
from conformance.target import Target, open_target
from strategies.functions import Function
from tests.runs import command, environment

SUBJECTS: dict[str, st.SearchStrategy[Any]] = {
    "integers()": st.integers(),
    "dtypes()": strategies.dtypes(),
    "shapes()": strategies.shapes(),
    "tensors()": strategies.tensors(),
    "scatter_arguments()": strategies.scatter_arguments(),
    "gather_arguments()": strategies.gather_arguments(),
    "polynomials()": strategies.polynomials(),
    "functions()": strategies.functions(),
    "gradient_histories()": strategies.gradient_histories(),
}


def seconds_per_example(strategy: st.SearchStrategy[Any], chosen: settings, rounds: int) -> float:
    """Return the median time of one example of a law with an empty body."""

    @chosen
    @given(strategy)
    def loop(value: object) -> None:
        pass

    loop()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        loop()
        times.append((time.perf_counter() - start) / chosen.max_examples)
    return statistics.median(times)


def bare_settings(examples: int) -> settings:
    """Return Hypothesis's own settings, but for what would print or store."""
    return settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        backend="hypothesis",
    )


def generation(examples: int, rounds: int) -> None:
    """Print the cost of one example of each strategy, and its ratio to the bare loop."""
    bare = seconds_per_example(st.integers(), bare_settings(examples), rounds)
    print(f"bare @given(st.integers()) loop: {bare * 1e6:.0f} us an example")
    ours = hypothesis_settings(examples, shrink=False, explain=False)
    for name, strategy in SUBJECTS.items():
        cost = seconds_per_example(strategy, ours, rounds)
        print(f"  {name:<24}{cost * 1e6:8.0f} us  {cost / bare:5.2f} x bare")


def others(examples: int, rounds: int) -> None:
    """Print the cost of tensors of equal size, ours and those that other packages draw.

    All loops run under Hypothesis's own settings, float32, 8 x 8. hypothesis-torch is measured
    if it is installed; it slows every Hypothesis test of its environment down, this one too.
    """
    shape = (8, 8)
    plain = bare_settings(examples)
    floats = hnp.arrays(np.float32, shape, elements=st.floats(-2, 2, width=32))
    dense = hnp.arrays(np.float32, shape, elements=st.floats(-2, 2, width=32), fill=st.nothing())
    rivals: dict[str, st.SearchStrategy[Any]] = {
        "strategies.tensors": strategies.tensors(
            dtype=torch.float32, shape=shape, layouts=("contiguous",)
        ),
        "hypothesis.extra.numpy.arrays": floats.map(torch.from_numpy),
        "the same, every element drawn": dense.map(torch.from_numpy),
    }
    if importlib.util.find_spec("hypothesis_torch"):
        module = importlib.import_module("hypothesis_torch")
        rivals["hypothesis_torch.tensor_strategy"] = module.tensor_strategy(
            dtype=torch.float32, shape=shape
        )
    costs = {name: seconds_per_example(s, plain, rounds) for name, s in rivals.items()}
    floor = seconds_per_example(st.integers(), plain, rounds)
    ours = costs["strategies.tensors"]
    print("\nfloat32 tensors of shape (8, 8), Hypothesis's own settings")
    print(f"  floor: the bare loop {floor * 1e6:.0f} us, which no strategy can go below")
    for name, cost in costs.items():
        above = (cost - floor) / (ours - floor)
        print(
            f"  {name:<34}{cost * 1e6:6.0f} us {cost / ours:6.2f} x ours, {above:5.1f} x above it"
        )


def evaluation(examples: int, rounds: int) -> None:
    """Print the cost of drawing a function and evaluating it under torch and under NumPy."""
    bare = seconds_per_example(st.integers(), bare_settings(examples), rounds)
    cpu = torch.device("cpu")

    def both(function: Function) -> object:
        return function(*function.leaves(cpu)), function.under(np)(*function.points)

    chosen = hypothesis_settings(examples, shrink=False, explain=False)
    cost = seconds_per_example(strategies.functions().map(both), chosen, rounds)
    print(f"\nfunctions() under torch and NumPy: {cost * 1e6:.0f} us, {cost / bare:.2f} x bare")


Place = tuple[dict[str, Any], str]
"""A name in a module or in a table of one, under which a function is called."""


def public_functions(module: ModuleType) -> Iterator[Place]:
    """Yield where a module, or a dictionary in it, holds a public function."""
    for table in (vars(module), *(v for v in vars(module).values() if isinstance(v, dict))):
        for name, value in table.items():
            if isinstance(value, FunctionType) and str(name)[0] != "_":
                yield table, name


def references() -> list[Place]:
    """Return where references are called: by name, or through the catalogue's entries."""
    found = pkgutil.iter_modules(reference.__path__, f"{reference.__name__}.")
    modules = [importlib.import_module(module.name) for module in found]
    places = [place for module in modules for place in public_functions(module)]
    return [*places, (vars(judge), "evaluated")]


def comparisons() -> list[Place]:
    """Return where laws compare; the block under ``raises`` is torch's time."""
    return [place for place in public_functions(compare) if place[1] != "raises"]


@contextmanager
def timed(places: Sequence[Place], clock: list[float]) -> Iterator[None]:
    """Add to ``clock`` the time spent in the functions at some places, outermost calls only."""
    depth = [0]
    originals = [(table, name, table[name]) for table, name in places]

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **keywords: Any) -> Any:
            depth[0] += 1
            start = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                depth[0] -= 1
                if depth[0] == 0:
                    clock[0] += time.perf_counter() - start

        return call

    for table, name, value in originals:
        table[name] = wrap(value)
    try:
        yield
    finally:
        for table, name, value in originals:
            table[name] = value


def split(examples: int, pattern: str) -> None:
    """Print how the time of laws, in this process, divides among those who spend it."""
    target = Target(torch.device("cpu"))
    referring, comparing = [0.0], [0.0]
    total = drawing = law_time = 0.0
    count = 0
    called, compared = references(), comparisons()
    for law in shipped_laws():
        chosen = [c for c in law.cases or (None,) if fnmatch(f"{law.id}:{c}", f"{pattern}*")]
        for case in chosen[:1]:
            Examination(law, case, target, 2).verdict()  # first uses import
        for case in chosen:
            with timed(called, referring), timed(compared, comparing):
                verdict = Examination(law, case, target, examples).verdict()
            total += verdict.seconds
            drawing += verdict.evidence["draw_seconds"]
            law_time += verdict.evidence["law_seconds"]
            count += verdict.evidence["examples"]
    parts = {
        "strategies (drawing)": drawing,
        "reference (NumPy)": referring[0],
        "comparison": comparing[0],
        "torch and the law's own text": law_time - referring[0] - comparing[0],
        "Hypothesis and the harness": total - drawing - law_time,
    }
    print(
        f"\nlaws {pattern}, one process: {count} examples in {total:.2f} s, {count / total:.0f}/s"
    )
    for name, seconds in parts.items():
        print(f"  {name:<30}{seconds:7.2f} s  {seconds / total:6.1%}")


def whole_runs(profile: str) -> None:
    """Print the wall time of whole runs as users start them, and of the way to the first law."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    torch_alone = time.perf_counter() - start
    print(f"\nimport torch alone: {torch_alone:.2f} s")
    for processes in ("1", "2"):
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record.jsonl"
            options = ["--pyargs", "conformance", "-n", processes, "--profile", profile]
            start = time.perf_counter()
            process = subprocess.Popen(
                command([*options, "--record", str(record)]),
                cwd=folder, env=environment(), stdout=subprocess.DEVNULL,
            )  # fmt: skip
            while not (record.exists() and record.stat().st_size) and process.poll() is None:
                time.sleep(0.005)
            first = time.perf_counter() - start
            process.wait()
            whole = time.perf_counter() - start
        print(
            f"whole run, profile {profile}, -n {processes}: {whole:.2f} s; first law after "
            f"{first:.2f} s, {first - torch_alone:.2f} s beyond import torch"
        )


TARGETS = (
    "cpu", "cpu/dispatch-mode", "cpu/function-mode", "cpu/deterministic", "cpu/default-device",
    "cpu/functionalize", "cpu/vmap", "cpu/forward-ad", "cpu/compile:eager", "meta", "hosted",
)  # fmt: skip


def targets(pattern: str, examples: int, rounds: int) -> None:
    """Print what targets cost in the harness: neither in torch, nor in the law, nor in drawing.

    A share is of an example's whole time on the CPU in eager mode, of the same laws. It is the
    processor's time, whatever else runs on the machine.
    """
    import tests.backends.hosted  # noqa: F401

    chosen = [
        (law, case)
        for law in shipped_laws()
        for case in (law.cases or (None,))
        if fnmatch(law.id if case is None else f"{law.id}:{case}", pattern)
    ]
    print(f"\nharness, µs an example: {len(chosen)} laws {pattern}")
    base, whole = 0.0, 0.0
    for name in TARGETS:
        target = open_target(name)
        with mock.patch.object(time, "perf_counter", time.process_time):
            costs = [_harness_time(chosen, target, examples) for _ in range(rounds + 1)][1:]
        own, total = (statistics.median(column) for column in zip(*costs, strict=True))
        base, whole = (own, total) if name == "cpu" else (base, whole)
        print(f"  {name:<22}{own * 1e6:9.1f}  {(own - base) / whole:+7.1%} of {whole * 1e6:.0f}")


def _harness_time(
    chosen: list[tuple[Law, str | None]], target: Target, examples: int
) -> tuple[float, float]:
    """Return the seconds an example that are the harness's own, and all of them."""
    own = total = count = 0.0
    for law, case in chosen:
        spent = [0.0]

        def body(*arguments: Any, law: Law = law, spent: list[float] = spent, **named: Any) -> None:
            start = time.perf_counter()
            try:
                law.function(*arguments, **named)
            finally:
                spent[0] += time.perf_counter() - start

        verdict = Examination(replace(law, function=body), case, target, examples).verdict()
        if verdict.verdict != "holds":
            continue
        evidence = verdict.evidence
        own += verdict.seconds - evidence["draw_seconds"] - spent[0]
        total += verdict.seconds
        count += evidence["examples"]
    return own / count, total / count


PARTS = ("generation", "evaluation", "others", "split", "runs", "targets")


def main() -> None:
    """Run the benchmarks that the options choose."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--examples", type=int, default=500, help="examples a loop (default 500)")
    parser.add_argument("--rounds", type=int, default=5, help="loops to take the median of (5)")
    parser.add_argument("--part", choices=PARTS, help="this part only (default: all)")
    parser.add_argument("--law", default="*", help="split the time of these laws only (a glob)")
    parser.add_argument("--profile", default="ci", help="profile of the whole runs (ci)")
    options = parser.parse_args()
    measures: tuple[Callable[[], None], ...] = (
        lambda: generation(options.examples, options.rounds),
        lambda: evaluation(options.examples, options.rounds),
        lambda: others(options.examples, options.rounds),
        lambda: split(50, options.law),
        lambda: whole_runs(options.profile),
        lambda: targets(options.law, 50, options.rounds),
    )
    for name, measure in zip(PARTS, measures, strict=True):
        if options.part in (None, name):
            measure()


if __name__ == "__main__":
    main()
