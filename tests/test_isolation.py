"""Laws in processes of their own, and the shrinking of what they die of."""

from __future__ import annotations

import subprocess
import sys

from tests.runs import Run, RunLaws
from tests.test_verdicts import HOLDS, TIMEOUT, VIOLATED

CRASHES = '''
@law("test.crashes", docs="torch.add")
@given(number=st.integers(0, 10**6), others=st.lists(st.integers(0, 9), min_size=5))
def test_crashes(target, number, others):
    """A number is no address."""
    compare.fact(number, number, "number")
    if number > 1000:
        ctypes.string_at(number % 8)

@law("test.crashes-always", docs="torch.add")
def test_crashes_always(target):
    """A process is not aborted."""
    os.abort()
'''

# The first law leaves something behind of which the process dies while the second runs.
DELAYED = '''
import threading

@law("test.bomb", docs="torch.add")
def test_bomb(target):
    """A law leaves nothing behind."""
    threading.Timer(0.2, os.abort).start()
    compare.fact(1, 1, "number")

@law("test.innocent", docs="torch.add")
@given(number=st.integers(0, 10))
def test_innocent(target, number):
    """A number is itself."""
    time.sleep(0.1)
    compare.fact(number, number, "number")
'''

LEAKING = '''
LEAKED = []

@law("test.leaks", docs="torch.add", over={str(n): n for n in range(3)})
def test_leaks(target, case):
    """A law takes half of the memory that there is."""
    LEAKED.append(torch.ones(2**28))
    compare.fact(LEAKED[0][case].item(), 1.0, "number")
'''

PROCESSES = '''
@law("test.process", docs="torch.add", over={"a": 1, "b": 2, "c": 3, "d": 4})
def test_process(target, case):
    """The verdict is always the same: it names the process."""
    compare.fact(os.getpid(), -1, "process")
'''


def checked_crash(run: Run) -> None:
    """Check that a crash stands there with the smallest inputs, and a script that crashes."""
    line = run.line("test.crashes")
    assert line["verdict"] == "crashed"
    assert "Segmentation fault" in line["message"]
    assert "inputs tried in processes of their own" in line["message"]
    found = line["counterexample"]
    assert found["inputs"] == "number = 1001\nothers = [0, 0, 0, 0, 0]"
    assert "others = [0, 0, 0, 0, 0]" in run.out
    script = [sys.executable, "-c", found["script"]]
    assert subprocess.run(script, capture_output=True, check=False).returncode < 0
    always = run.line("test.crashes-always")
    assert always["verdict"] == "crashed"
    assert "smallest of 1 inputs" in always["message"]


def test_a_crash_is_shrunk(laws: RunLaws) -> None:
    run = laws(CRASHES)
    assert run.code == 1
    checked_crash(run)


def test_isolated_laws_get_their_verdicts(laws: RunLaws) -> None:
    run = laws(CRASHES + VIOLATED + TIMEOUT + PROCESSES + HOLDS, "--isolate", "--law-timeout", "5")
    assert run.code == 1
    checked_crash(run)
    processes = [f"test.process:{name}" for name in "abcd"]
    assert run.verdicts == {
        "test.crashes": "crashed",
        "test.crashes-always": "crashed",
        "test.violated": "violated",
        "test.hangs": "timeout",
        **dict.fromkeys(processes, "violated"),
        "test.holds": "holds",
    }
    assert run.line("test.violated")["counterexample"]["inputs"] == "x = torch.tensor(0)"
    assert run.line("test.hangs")["counterexample"]["inputs"].startswith("number = ")
    assert run.line("test.holds")["evidence"]["examples"] == 50
    assert len({run.line(law)["message"] for law in processes}) == 4


def test_as_many_laws_a_process_as_asked_for(laws: RunLaws) -> None:
    run = laws(PROCESSES, "--isolate", "3")
    assert len({line["message"] for line in run.verdict_lines}) == 2


def test_a_delayed_crash_names_the_law_that_ran_before(laws: RunLaws) -> None:
    run = laws(DELAYED)
    assert run.verdicts == {"test.bomb": "holds", "test.innocent": "crashed"}
    message = run.line("test.innocent")["message"]
    assert "in a process of its own this law does not crash: suspect " in message
    assert message.endswith("::test_bomb[cpu], which ran before")


def test_an_isolated_law_suffers_from_no_other(laws: RunLaws) -> None:
    run = laws(DELAYED + LEAKING, "--isolate", "--law-memory", "2", processes="0")
    assert set(run.verdicts.values()) == {"holds"}, run.out
    assert len(run.verdicts) == 5


def test_within_one_process_laws_suffer_from_others(laws: RunLaws) -> None:
    run = laws(LEAKING + CRASHES, "--law-memory", "2", "--crash-budget", "0")
    assert [run.verdicts[f"test.leaks:{n}"] for n in range(3)] == ["holds", "violated", "violated"]
    line = run.line("test.crashes")
    assert line["message"].rpartition(" in example ")[2].isdecimal()
    assert line["counterexample"]["inputs"].startswith("number = ")
    assert not line["counterexample"]["script"]
