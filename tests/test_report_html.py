"""The HTML report: what it counts, that it is one quiet file, and that no record can act in it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from conformance.cli import main
from conformance.records import read
from conformance.report.html import harmless, html_report, report_data
from conformance.results import VERDICTS, Counterexample
from tests.records import HOLDS, VIOLATED, write_record

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")

HOSTILE = (
    "</script><script>document.title = 'taken'</script>"
    "<img src=x onerror=\"document.title='taken'\"><!--<script>]]>&lt;b&gt;"
    "<svg onload=\"document.title='taken'\">\u2028${document.title='taken'}"
)
ATTACK = replace(
    VIOLATED,
    law=f"sum.{HOSTILE}",
    level=HOSTILE,
    chapter=HOSTILE,
    statement=f"``{HOSTILE}`` adds {HOSTILE}.",
    documentation="javascript:document.title='taken'",
    target=f"cpu{HOSTILE}",
    message=HOSTILE,
    evidence={**HOLDS.evidence, "dtypes": [HOSTILE], "layouts": [HOSTILE]},
    counterexample=Counterexample(HOSTILE * 2, HOSTILE, HOSTILE, HOSTILE, HOSTILE),
    deviation={"reason": HOSTILE, "link": "javascript:document.title='taken'"},
)


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text in scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] == "script" and data.strip():
            self.scripts.append(data)


def page_of(tmp_path: Path, *records: Path) -> str:
    assert main(["report", *map(str, records), "-o", str(tmp_path / "report")]) == 0
    (page,) = (tmp_path / "report").iterdir()  # one file
    return page.read_text("utf-8")


# -- without a browser -----------------------------------------------------------------------


def test_markup_is_data(tmp_path: Path) -> None:
    """A hostile record adds no element: the page is the same but for its JSON."""
    quiet = Elements(page_of(tmp_path, write_record(tmp_path / "a.jsonl", [HOLDS])))
    facts: dict[str, Any] = {"torch": HOSTILE, "command": [HOSTILE], "shard": "1/1" + HOSTILE}
    attack = write_record(tmp_path / "b.jsonl", [ATTACK], **facts)
    attacked = Elements(page_of(tmp_path, attack))
    assert attacked.found == quiet.found
    assert len(attacked.scripts) == 2
    assert not set("<>&") & set(attacked.scripts[0])
    assert json.loads(attacked.scripts[0]) == report_data([read(attack)])


def test_harmless_json_says_the_same() -> None:
    value = {"<a>&": ["\\u003c", "</script>", "<!--", "é", "\u2028"]}
    assert json.loads(harmless(json.dumps(value))) == value
    assert "<" not in harmless(json.dumps(value))


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    """No element loads anything, and the policy lets in the page's own script and style only."""
    elements = Elements(page_of(tmp_path, write_record(tmp_path / "a.jsonl", [HOLDS])))
    assert not [tag for tag, attributes in elements.found if {"src", "href"} & set(attributes)]
    (policy,) = [a["content"] for _, a in elements.found if "http-equiv" in a]
    assert re.fullmatch(
        r"default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; "
        r"base-uri 'none'; form-action 'none'",
        policy or "",
    )
    assert "innerHTML" not in elements.scripts[1]
    assert "insertAdjacentHTML" not in elements.scripts[1]
    assert "eval(" not in elements.scripts[1]


def test_the_page_holds_every_verdict(tmp_path: Path) -> None:
    verdicts = [
        replace(HOLDS, law=f"sum.law-{n}", target=target, verdict=kind)
        for n, kind in enumerate(VERDICTS)
        for target in ("cpu", "cuda:0")
    ]
    data = report_data([read(write_record(tmp_path / "a.jsonl", verdicts))])
    assert len(data["rows"]) == len(verdicts)
    assert [column["target"] for column in data["columns"]] == ["cpu", "cuda:0"]
    names = [verdict["name"] for verdict in data["verdicts"]]
    assert Counter(names[row[2]] for row in data["rows"]) == dict.fromkeys(VERDICTS, 2)
    assert len(set(data["texts"])) == len(data["texts"])
    facts = dict(data["records"][0]["facts"])
    assert (facts["torch"], facts["command"], facts["examples"]) == ("2.13.0", "pytest", "10")


def test_columns_of_one_target_are_told_apart(tmp_path: Path) -> None:
    def notes(*facts: dict[str, Any]) -> list[str]:
        records = [
            read(write_record(tmp_path / f"{n}.jsonl", [HOLDS], **fact))
            for n, fact in enumerate(facts)
        ]
        return [column["note"] for column in report_data(records)["columns"]]

    older, newer = {"torch": "2.12.0"}, {"torch": "2.13.0"}
    assert notes(newer) == [""]
    assert notes(older, newer) == ["torch 2.12.0", "torch 2.13.0"]
    assert notes(newer, newer) == ["0.jsonl", "1.jsonl"]


# -- in a browser ----------------------------------------------------------------------------

Show = Callable[[str], str]


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """Return a function that opens the report at an address and returns what became of it."""

    def dump(fragment: str = "") -> str:
        address = (tmp_path / "report" / "index.html").as_uri() + (fragment and f"#{fragment}")
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
             f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=2000", address],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        return re.sub(r'<script type="application/json".*?</script>', "", done.stdout, flags=re.S)

    return dump


@needs_browser
def test_a_browser_runs_nothing_of_a_record(tmp_path: Path, show: Show) -> None:
    attack = write_record(tmp_path / "a.jsonl", [ATTACK], torch=HOSTILE, command=[HOSTILE])
    page_of(tmp_path, attack)
    shown = show(f"law={quote(ATTACK.law)}")
    elements = Elements(shown)
    tags = Counter(tag for tag, _ in elements.found)
    assert "<title>Laws of PyTorch</title>" in shown
    assert not {"img", "svg", "b"} & set(tags)
    assert tags["script"] == 1  # beside the data, cut out above
    assert not [a for _, a in elements.found if str(a.get("href", "")).startswith("javascript")]
    assert tags["pre"] == 5  # the counterexample is open, and shows it all
    assert shown.count("&lt;img src=x onerror=") > 10


@needs_browser
def test_a_browser_shows_counts_and_follows_filters(tmp_path: Path, show: Show) -> None:
    products = replace(HOLDS, law="product.multiplies", chapter="products", level="should")
    page_of(
        tmp_path,
        write_record(tmp_path / "a.jsonl", [HOLDS, products, replace(VIOLATED, law="sum.b")]),
    )

    def laws(fragment: str) -> list[str]:
        return re.findall(r'<span class="id">([^<]*)<', show(fragment))

    whole = show("")
    assert "3 laws on 1 target: 1 law fails somewhere." in whole
    assert 'aria-label="sums on cpu: 1 holds, 1 violated"' in whole
    assert 'aria-label="all chapters on cpu: 2 holds, 1 violated"' in whole
    assert laws("") == ["sum.b", "product.multiplies", "sum.adds"]
    assert laws("verdicts=holds&chapter=sums") == ["sum.adds"]
    assert laws("level=should") == ["product.multiplies"]
    assert laws("text=4+RIGHT") == ["sum.b"]
    assert laws("text=nothing+of+the+kind") == []
    opened = show("law=sum.b")
    assert "print('here')" in opened
    assert '<a href="https://docs.pytorch.org/' in opened
    assert ">Copy</button>" in opened


LAWS, TARGETS = 2_000, 10


@needs_browser
def test_a_large_report_opens_quickly(tmp_path: Path, show: Show) -> None:
    verdicts = [
        replace(
            VIOLATED if (law + target) % 20 == 0 else HOLDS,
            law=f"sum.law-{law}",
            chapter=f"chapter_{law % 40}",
            target=f"device:{target}",
        )
        for law in range(LAWS)
        for target in range(TARGETS)
    ]
    page = html_report([read(write_record(tmp_path / "a.jsonl", verdicts))])
    assert len(page) < 100 * len(verdicts)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("<title>nothing</title>")
    started = time.perf_counter()
    show("")
    empty = time.perf_counter() - started
    (tmp_path / "report" / "index.html").write_text(page)
    started = time.perf_counter()
    shown = show("text=law-77")
    assert "11 of 2,000 laws" in shown
    assert time.perf_counter() - started < empty + 20  # measured: 1 second
