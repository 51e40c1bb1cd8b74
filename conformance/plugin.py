"""The pytest plugin: options, and the running of collected laws.

It is loaded into every pytest run of an environment that has the suite installed, so it
imports nothing heavy until a law is collected. Without ``-n``, a run of laws gets one worker
process of its own, so that a crash or a hang ends a law and not the run.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.session import LawSession

_CONTROLLER = "conformance-controller"
PROFILES = ("smoke", "ci", "thorough", "fuzz")
OPTIONS = (
    "target", "profile", "max_examples", "law", "chapter", "deviations", "record", "load",
    "explain", "law_timeout",
)  # fmt: skip


def _destination(option: str) -> str:
    return f"conformance_{option}"


def _positive_integer(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of examples; write 1 or more")
    return int(text)


def _positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds; write such as 60")
    return seconds


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of a run of laws."""
    group = parser.getgroup("conformance", "laws of PyTorch (run: pytest --pyargs conformance)")

    def option(name: str, **attributes: Any) -> None:
        destination = _destination(name.removeprefix("--").replace("-", "_"))
        group.addoption(name, dest=destination, **attributes)

    option(
        "--target", action="append", metavar="DEVICE[/MODE]",
        help="what is under test: cpu, cuda:0, cpu/aot_eager ...; repeatable (default: cpu)",
    )  # fmt: skip
    option(
        "--profile", choices=PROFILES,
        help="examples a law: smoke 10, ci 50 (default), thorough 1000, fuzz 100000; "
        "smoke and ci are deterministic",
    )  # fmt: skip
    option(
        "--max-examples", type=_positive_integer, metavar="N",
        help="examples a law, instead of the profile's number",
    )  # fmt: skip
    option(
        "--law", action="append", metavar="GLOB",
        help="run only laws whose id matches, such as 'scatter*'; repeatable "
        "(list the ids with: conformance laws)",
    )  # fmt: skip
    option(
        "--chapter", action="append", metavar="NAME",
        help="run only this chapter, such as accumulation; repeatable",
    )  # fmt: skip
    option(
        "--deviations", action="append", type=Path, metavar="FILE",
        help="TOML file of known violations, beside the shipped one; repeatable",
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
        help="end a law that takes longer, with verdict timeout "
        "(default by profile: 300, 600, 3600, 86400)",
    )  # fmt: skip


def options_of(config: pytest.Config) -> dict[str, Any]:
    """Return the options as given, None where not given."""
    return {name: config.getoption(_destination(name)) for name in OPTIONS}


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


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Refuse what can be refused without torch; give a run of laws a process of its own."""
    option = config.option
    if is_worker(config):
        return
    if not asks_for_laws(config):
        if getattr(option, "tx", None):  # workers may yet collect laws
            _register_controller(config)
        return
    for module in config.getoption(_destination("load")) or ():
        if not _exists(module):
            raise pytest.UsageError(
                f"--load {module}: no such module; it must be importable from here, "
                "by its dotted name"
            )
    _register_controller(config)
    in_process = option.usepdb or option.collectonly or not hasattr(option, "numprocesses")
    if not in_process and option.numprocesses is None and not option.tx:
        option.numprocesses, option.tx, option.dist = 1, ["popen"], "load"
    if getattr(option, "maxworkerrestart", "") is None:
        option.maxworkerrestart = str(10**9)  # each crash is one law's verdict, never the run's


def _register_controller(config: pytest.Config) -> None:
    if not config.pluginmanager.has_plugin(_CONTROLLER):
        from conformance.controller import Controller

        config.pluginmanager.register(Controller(config), _CONTROLLER)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Import the modules of ``--load`` before any law, strategy or device."""
    if asks_for_laws(session.config):
        _law_session(session.config).load_modules()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item a target, and a case where the law ranges over some."""
    found = getattr(metafunc.function, "__law__", None)
    if found is not None:
        metafunc.parametrize("target", _law_session(metafunc.config).target_names)
        if found.cases:
            metafunc.parametrize("case", list(found.cases))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select laws; in the process that collects, refuse whatever the options name wrongly."""
    laws = [item for item in items if _law(item) is not None]
    if laws or asks_for_laws(config):
        kept = _law_session(config).prepare(laws)
        dropped = {id(item) for item in laws} - {id(item) for item in kept}
        config.hook.pytest_deselected(items=[item for item in items if id(item) in dropped])
        items[:] = [item for item in items if id(item) not in dropped]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object | None:
    """Examine a law instead of calling its function."""
    if _law(pyfuncitem) is None:
        return None
    _law_session(pyfuncitem.config).examine(pyfuncitem)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the verdict into the report, and let it say whether the item passed."""
    report = yield
    if report.when == "call" and _law(item) is not None:
        _law_session(item.config).complete(item, report)
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give back what the session of laws holds."""
    session = config.stash.get(_SESSION, None)
    if session is not None:
        session.close()


def _law(item: pytest.Item) -> Any:
    return getattr(getattr(item, "function", None), "__law__", None)


_SESSION: pytest.StashKey[LawSession] = pytest.StashKey()


def _law_session(config: pytest.Config) -> LawSession:
    if _SESSION not in config.stash:
        if not is_worker(config):
            _register_controller(config)
        from conformance.session import LawSession

        config.stash[_SESSION] = LawSession(config)
    return config.stash[_SESSION]
