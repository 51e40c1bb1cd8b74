"""The pytest plugin: options, and the running of collected laws.

It is loaded into every pytest run of an environment that has the suite installed, so it
imports nothing heavy until a law is collected. Without ``-n``, a run of laws gets one worker
process of its own, so that a crash or a hang ends a law and not the run.
"""

from __future__ import annotations

from collections.abc import Generator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from conformance.options import add_options, asks_for_laws, is_worker, options_of

if TYPE_CHECKING:
    from conformance.session import LawSession

_CONTROLLER = "conformance-controller"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of a run of laws."""
    add_options(parser)


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
    for module in options_of(config)["load"] or ():
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
    collects = is_worker(session.config) or not getattr(session.config.option, "tx", None)
    if collects and asks_for_laws(session.config):
        _law_session(session.config).load_modules()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item a target, and a case where the law ranges over some."""
    found = getattr(metafunc.function, "__law__", None)
    if found is not None:
        session = _law_session(metafunc.config)
        metafunc.parametrize("target", session.target_names)
        if found.cases:
            metafunc.parametrize("case", session.cases(found))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select laws; in the process that collects, refuse whatever the options name wrongly."""
    laws = [item for item in items if _law(item) is not None]
    if laws or asks_for_laws(config):
        kept = _law_session(config).prepare(laws)
        dropped = {id(item) for item in laws} - {id(item) for item in kept}
        config.hook.pytest_deselected(items=[item for item in items if id(item) in dropped])
        items[:] = [*(item for item in items if _law(item) is None), *kept]


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
