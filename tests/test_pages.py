"""The pages of the site: what they say of a tiny record and ledger, and that examples run."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from conformance.claims import Claim
from conformance.deviations import SHIPPED, read_deviations
from conformance.law import Law, shipped_laws
from conformance.operators import OPERATORS
from conformance.report.chapter_pages import chapter_page, chapters_of, contents_pages
from conformance.report.claim_pages import claim_pages, output_of
from conformance.report.contents import PARTS, parts_of
from conformance.report.deviation_pages import deviation_pages
from conformance.report.examples import Outcome, run_blocks
from conformance.report.law_links import law_link
from conformance.report.law_samples import Sample, law_sample
from conformance.report.operator_pages import operator_pages
from conformance.report.optimizer_pages import optimizer_pages
from conformance.report.pages import claims_of, saboteurs_page
from conformance.report.samples import sample
from conformance.report.text import prose, sentence, table
from conformance.report.verified import Verified, read_verified
from strategies.optimizer_tables import OPTIONS

DOCS = Path(__file__).parent.parent / "docs"
LAWS = shipped_laws()
CHAPTERS = chapters_of(LAWS)
RUN = {
    "kind": "run", "torch": "2.13.0", "numpy": "2.4", "python": "3.11.7 (main)",
    "processor": "a processor", "platform": "Linux", "profile": "ci", "examples": 50, "seed": 0,
}  # fmt: skip
EVIDENCE = {
    "examples": 50, "values": 1234, "rejected": 0, "unsupported": 0, "dtypes": ["float64"],
    "ranks": [0, 2], "layouts": ["contiguous"],
}  # fmt: skip
REFUTED = Claim(
    id="accumulation.replaces",
    statement="backward replaces <.grad>.",
    sources=("a.txt: 1",),
    verdict="refuted",
    truth="It adds",
    versions="2.13.0",
    laws=("accumulation.backward-adds",),
    counterexample="print(1 + 1)\nassert True",
)
HOLDS = Claim(
    id="accumulation.adds",
    statement="backward adds.",
    sources=("a.txt: 2",),
    verdict="holds",
    truth="It does.",
    versions="2.13.0",
    laws=("accumulation.*",),
)


def verdict(law_id: str, kind: str = "holds", target: str = "cpu") -> dict[str, Any]:
    deviation = {"reason": "it is known to be wrong"} if kind == "deviates" else None
    return {
        "kind": "verdict", "law": law_id, "target": target, "verdict": kind, "message": "",
        "evidence": EVIDENCE, "deviation": deviation,
    }  # fmt: skip


def record_of(path: Path, verdicts: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in (RUN, *verdicts)) + "\n")
    return path


def verified(tmp_path: Path, *verdicts: dict[str, Any]) -> Verified:
    return read_verified([record_of(tmp_path / "a.jsonl", list(verdicts))], ())


def test_a_record_must_have_every_law(tmp_path: Path) -> None:
    record = record_of(tmp_path / "a.jsonl", [verdict("a.law")])
    assert read_verified([record], ["a.law"]).verdicts["a.law"][0]["torch"] == "2.13.0"
    with pytest.raises(ValueError, match=r"no verdict on another\.law; run all laws"):
        read_verified([record], ["a.law", "another.law"])


def test_a_second_record_may_have_fewer_laws(tmp_path: Path) -> None:
    whole = record_of(tmp_path / "a.jsonl", [verdict("a.law"), verdict("b.law")])
    part = record_of(tmp_path / "b.jsonl", [verdict("a.law", target="cuda")])
    found = read_verified([whole, part], ["a.law", "b.law"])
    assert [line["target"] for line in found.lines(["a.law"])] == ["cpu", "cuda"]
    assert found.note().count("Verified with torch 2.13.0") == 2


def chapter(tmp_path: Path, laws: list[Law], **keywords: Any) -> str:
    lines = [verdict(law_id) for law in laws for law_id in law.ids()]
    kills: list[dict[str, Any]] = [{"law": laws[0].id, "breaks": "it adds twice", "caught": True}]
    bearing = claims_of([REFUTED, HOLDS], [law.id for law in laws])
    samples = {laws[0].id: Sample(laws[0].id, "times = 2", "print()")}
    return chapter_page(laws, verified(tmp_path, *lines), kills, bearing, "Read *this*.", samples)


def test_a_chapter_says_all_that_is_known_of_a_law(tmp_path: Path) -> None:
    text = chapter(tmp_path, CHAPTERS["accumulation"])
    law = CHAPTERS["accumulation"][0]
    assert text.startswith("# Accumulation\n\nWhat repeated backward passes leave in ``.grad``.")
    assert "\n\nRead *this*.\n\n## The laws" in text
    section = text.partition(f"### `{law.id}`")[2].partition("\n### ")[0]
    for told in (
        prose(law.statement),
        "{.badge .level}",
        "✓ holds",
        "50 examples; 1,234 values compared; float64; ranks 0, 2; contiguous",
        "with torch 2.13.0",
        "torch.Tensor.backward.html",
        "Shown to fail where it adds twice.",
        "backward replaces \\<.grad>. [✗ refuted]",
        "def test_backward_adds(target, f, times):",
        "{download}`a script <examples/accumulation.backward-adds.py>`",
        "times = 2",
    ):
        assert told in section


def test_laws_with_many_cases_are_folded(tmp_path: Path) -> None:
    (law,) = (law for law in LAWS if law.id == "retain-graph.options")
    lines = [verdict(law_id) for law_id in law.ids()]
    lines[2] = verdict(law.ids()[2], "deviates")
    text = chapter_page([law], verified(tmp_path, *lines), [], {})
    assert f"<summary>all {len(lines)} cases: {len(lines) - 1} hold, 1 deviate</summary>" in text
    assert f"- `{law.ids()[2]}`: it is known to be wrong" in text
    assert f"{len(lines) * 50:,} examples, {len(lines) * 1234:,} values" in text


def test_every_chapter_has_its_place_and_an_introduction() -> None:
    listed = [name for part in PARTS for name in part.chapters]
    assert len(listed) == len(set(listed))
    assert set(CHAPTERS) <= set(listed)
    assert set(CHAPTERS) <= {path.stem for path in (DOCS / "handbook").glob("*.md")}


def test_an_unlisted_chapter_comes_last() -> None:
    parts = parts_of(["brand_new", "graph"])
    assert [part.chapters for part in parts] == [("graph",), ("brand_new",)]


def test_contents_link_parts_and_chapters(tmp_path: Path) -> None:
    pages = contents_pages({"graph": CHAPTERS["graph"]}, verified(tmp_path))
    assert set(pages) == {"index", "part-autograd"}
    assert "**[The graph](graph.md)**" in pages["index"]
    assert "```{toctree}\n:hidden:\n\npart-autograd\n```" in pages["index"]


def test_myths_come_with_their_output(tmp_path: Path) -> None:
    shown = verified(tmp_path, verdict("accumulation.backward-adds"))
    pages = claim_pages([REFUTED, HOLDS], shown)
    assert set(pages) == {"myths/index", "myths/accumulation", "claims"}
    myth = pages["myths/accumulation"]
    assert "(claim-accumulation.replaces)=\n## backward replaces \\<.grad>." in myth
    assert "{.truth}\nIt adds.\n" in myth
    assert "print(1 + 1)" in myth
    assert ":class: output\n\n2\n" in myth
    assert "(#law-accumulation.backward-adds)" in myth
    assert "a.txt: 1" in myth
    assert "backward adds. [✓ holds]" in pages["claims"]
    assert "backward adds" not in myth


def test_a_counterexample_that_fails_is_no_page() -> None:
    wrong = Claim(**{**vars(REFUTED), "counterexample": "assert 1 == 2"})
    with pytest.raises(ValueError, match=r"counterexample of accumulation.replaces fails"):
        output_of(wrong)


def test_links_lead_to_laws_and_operators() -> None:
    known = ["graph.recorded", "operators.value:sum", "operators.value:add"]
    assert law_link("graph.recorded", known) == "[`graph.recorded`](#law-graph.recorded)"
    assert law_link("operators.value:sum", known).endswith("(#operator-sum-)")
    assert law_link("operators.value:*", known).endswith("(#law-operators.value)")
    assert law_link("no.such", known) == "`no.such`"


def test_every_optimizer_has_a_page(tmp_path: Path) -> None:
    law = "optimizer.closed-form"
    lines = [verdict(f"{law}:SGD"), verdict(f"{law}:SGD-fused", "deviates")]
    pages = optimizer_pages(LAWS, verified(tmp_path, *lines))
    assert set(pages) == {"index", *OPTIONS}
    sgd = pages["SGD"]
    assert "- ``theta -= lr g``" in sgd
    assert "```{picture} history-SGD" in sgd
    assert "| `fused` | [≠ deviates]" in sgd
    assert "`SGD-fused`: it is known to be wrong." in sgd


def test_operators_are_tables_of_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.report.operator_pages.sample", lambda _: ">>> 1")
    lines = [verdict("operators.value:add"), verdict("operators.vjp:add", "deviates")]
    page = operator_pages(verified(tmp_path, *lines))["arithmetic"]
    assert "| [`add`](#operator-add-) | ✓ | ≠ |" in page
    assert "≠ `vjp`: it is known to be wrong." in page


def test_deviations_stand_beside_what_they_violate() -> None:
    pages = deviation_pages(LAWS)
    label = "deviation-backward.cotangent-unchanged-1"
    assert f"| [`backward.cotangent-unchanged`](#{label}) | a first .grad that" in pages["index"]
    section = pages["part-autograd"].partition(f"({label})=")[2].partition("\n## `")[2]
    section = section.partition("\n## ")[0]
    (law,) = (law for law in LAWS if law.id == "backward.cotangent-unchanged")
    assert f"“{prose(law.statement)}”" in section
    assert f"[what torch documents]({law.documentation(None)})" in section
    assert "(#law-backward.cotangent-unchanged)" in section
    assert ":class: shown" in section


def test_every_deviation_is_listed_and_shown() -> None:
    pages = deviation_pages(LAWS)
    listed = re.findall(r"\(#(deviation-[^)]+)\)", pages["index"])
    shown = [
        label for text in pages.values() for label in re.findall(r"^\((dev.*)\)=$", text, re.M)
    ]
    assert len(listed) == len(read_deviations(SHIPPED))
    assert sorted(shown) == sorted(set(listed))


def test_an_operator_is_shown_at_work() -> None:
    dialogue = sample(OPERATORS["sub"])
    assert dialogue.startswith(">>> torch.sub(torch.tensor(")
    assert run_blocks(["import torch", dialogue]) == Outcome("")


def test_a_law_has_an_example_that_runs_alone() -> None:
    (law,) = (law for law in LAWS if law.id == "retain-graph.options")
    found = law_sample(law)
    assert found
    assert found.law_id in law.ids()
    assert "import conformance" not in found.script
    assert run_blocks([found.script]) == Outcome("")


def test_a_saboteur_that_lives_is_shown() -> None:
    kill: dict[str, Any] = {"saboteur": "twice", "breaks": "adds * twice", "law": "graph.recorded",
            "caught": False, "message": "1 | 2"}  # fmt: skip
    text = saboteurs_page([kill], ["graph.recorded"])
    link = "[`graph.recorded`](#law-graph.recorded)"
    assert f"| `twice` | adds \\* twice | {link} | **no** | `1 \\| 2` |" in text


def test_a_site_without_saboteurs_says_so() -> None:
    assert "built without trying them" in saboteurs_page(None, [])


def test_text_is_made_harmless() -> None:
    assert prose("a_b * <c> `x_y` [d] {e}") == "a\\_b \\* \\<c> `x_y` \\[d\\] \\{e\\}"
    assert prose("see https://a.org/b_c.") == "see <https://a.org/b_c>."
    assert sentence("torch.sum adds") == "torch.sum adds."
    assert table(["a"], [["x|y\nz"]]) == "| a |\n| --- |\n| x\\|y z |"


def test_blocks_of_a_page_share_a_namespace() -> None:
    outcome = run_blocks(["x = 2\nprint(x)", ">>> x + 1\n3\n"])
    assert (outcome.output, outcome.failures) == ("2\n", ())


def test_a_block_that_fails_is_told() -> None:
    outcome = run_blocks(["x = 1", ">>> x\n2\n", "raise KeyError('gone')"])
    assert [number for number, _ in outcome.failures] == [1, 2]
    assert "Expected:\n    2\nGot:\n    1" in outcome.failures[0][1]
    assert "KeyError: 'gone'" in outcome.failures[1][1]


def test_pages_do_not_reach_each_other() -> None:
    assert not run_blocks(["import torch\ntorch.set_default_dtype(torch.float64)"]).failures
    assert not run_blocks([">>> import torch\n>>> torch.ones(1).dtype\ntorch.float32\n"]).failures
    assert run_blocks(["import os; os._exit(3)"]).failures == ((0, "the process died"),)
    assert run_blocks(["print('still there')"]).output == "still there\n"


def test_the_commands_of_the_readme_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    check_command = import_module("extensions.commands").check_command
    blocks = re.findall(r"^```sh\n(.*?)^```", (DOCS.parent / "README.md").read_text(), re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines() if line]
    assert len(lines) > 15
    for line in lines:
        check_command(line)
    with pytest.raises(ValueError, match="no option --recrod"):
        check_command("cd a && b/bin/conformance diff a b --recrod c")


@pytest.mark.parametrize(
    "path",
    [p for folder in ("handbook", "guides", ".") for p in sorted((DOCS / folder).glob("*.md"))],
    ids=lambda path: path.stem,
)
def test_examples_run(path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert blocks or path.parent.name != "handbook"
    assert not run_blocks(blocks).failures
