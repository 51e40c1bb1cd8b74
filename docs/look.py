"""Look at the built site: screenshots of its main pages, and the search tried.

``python docs/look.py FOLDER [PAGE...]`` writes PNG files of each page at desktop and phone width,
light and dark, and fails if a page is missing or scrolls sideways, or if the search or a filter
finds too little.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SITE = Path(__file__).parent / "_build" / "html"
PAGES = (
    "index",
    "semantics/handbook/index",
    "semantics/handbook/graph",
    "semantics/handbook/leaf_flags",
    "semantics/handbook/accumulation",
    "semantics/handbook/in_place",
    "semantics/handbook/optimizers",
    "semantics/handbook/scatter_gather",
    "semantics/handbook/schedulers",
    "semantics/myths/index",
    "semantics/claims",
    "semantics/optimizers/index",
    "semantics/optimizers/SGD",
    "semantics/optimizers/LBFGS",
    "semantics/operators/index",
    "semantics/operators/arithmetic",
    "semantics/deviations/index",
    "semantics/deviations/part-autograd",
    "guides/autograd_from_the_start",
    "guides/add_a_law",
    "reference/options",
    "reference/records",
)
PHONE = 390
"""Chromium makes no window as narrow as this: such a page is looked at in a frame."""
WIDTHS = {"desktop": (1440, 1800), "phone": (PHONE, 1800)}
SCHEMES = {"light": 1, "dark": 0}
SEARCHES = {"retain_graph": "retain_graph", "leaf": "leaf_flags", "momentum": "SGD"}
"""What is searched for, and a part of the address of a page that must be among the results."""
FILTERS = {
    "semantics/deviations/index": "nan",
    "semantics/claims": "leaf",
    "semantics/myths/index": "detach",
}
"""Pages whose rows can be looked through, and a word that some of them have."""


def chromium(*arguments: str) -> str:
    """Run the browser without a window, and return what it prints."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    if found is None:
        raise SystemExit("chromium is not installed")
    with tempfile.TemporaryDirectory() as profile:
        command = [
            found, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={profile}", "--allow-file-access-from-files",
            "--virtual-time-budget=10000", *arguments,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def photograph(page: str, folder: Path) -> None:
    """Write the screenshots of a page."""
    address = (SITE / f"{page}.html").as_uri()
    name = page.replace("/", "-")
    for scheme, number in SCHEMES.items():
        for width, (across, down) in WIDTHS.items():
            with tempfile.NamedTemporaryFile("w", suffix=".html") as frame:
                shown = address
                if width == "phone":
                    frame.write(_framed(address, down))
                    frame.flush()
                    shown = Path(frame.name).as_uri()
                chromium(
                    f"--screenshot={folder / f'{name}-{width}-{scheme}.png'}",
                    f"--window-size={across},{down}",
                    f"--blink-settings=preferredColorScheme={number}",
                    shown,
                )


def _framed(address: str, down: int) -> str:
    return (
        f'<body style="margin:0"><iframe src="{address}" width="{PHONE}" height="{down}" '
        'style="border:0"></iframe></body>'
    )


def overflow(page: str) -> str:
    """Return what is wider than the frame of a phone, or nothing."""
    return _asked(
        page,
        "const page = frame.contentDocument.documentElement;"
        "return page.scrollWidth > frame.clientWidth ? 'too wide ' + page.scrollWidth : 'fine';",
    )


def unfiltered(page: str, word: str) -> str:
    """Return what the field above a long table leaves that has not the word, or nothing."""
    return _asked(
        page,
        "const page = frame.contentDocument, field = page.querySelector('input.filter');"
        f"field.value = '{word}'; field.dispatchEvent(new Event('input'));"
        "const rows = [...page.querySelectorAll('.filtered tbody tr, ul.filtered > li')];"
        "const shown = rows.filter(row => !row.hidden);"
        f"const right = shown.every(row => row.textContent.toLowerCase().includes('{word}'));"
        "return right && shown.length && shown.length < rows.length ? 'fine'"
        f" : shown.length + ' of ' + rows.length + ' rows for {word}';",
    )


def _asked(page: str, script: str) -> str:
    """Return what a script says of a page as wide as a phone, or nothing if that is "fine"."""
    asking = (
        "<script>const frame = document.querySelector('iframe');"
        f"frame.onload = () => {{ document.title = (() => {{ {script} }})(); }}</script>"
    )
    address = (SITE / f"{page}.html").as_uri()
    with tempfile.NamedTemporaryFile("w", suffix=".html") as frame:
        frame.write("<title>unknown</title>" + _framed(address, 900) + asking)
        frame.flush()
        dom = chromium("--dump-dom", Path(frame.name).as_uri())
    title = re.search(r"<title>(.*?)</title>", dom)
    return "" if title and title[1] == "fine" else f"{page}: {title[1] if title else 'no page'}"


def missed(query: str, expected: str) -> str:
    """Return what the search lacks, or nothing."""
    address = (SITE / "search.html").as_uri()
    dom = chromium("--dump-dom", f"{address}?q={query}")
    results = dom.partition('id="search-results"')[2]
    found = re.findall(r'<a href="([^"?#]+)', results)
    if any(expected in link for link in found):
        return ""
    return f"search for {query!r}: no {expected!r} among {len(found)} results"


def main(arguments: list[str]) -> int:
    """Look at everything; return 1 if something is wrong."""
    folder = Path(arguments[0] if arguments else SITE.parent / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    problems = [missed(query, expected) for query, expected in SEARCHES.items()]
    pages = arguments[1:] or PAGES
    problems += [unfiltered(page, word) for page, word in FILTERS.items() if page in pages]
    for page in pages:
        if not (SITE / f"{page}.html").exists():
            problems.append(f"{page} is missing")
            continue
        problems.append(overflow(page))
        photograph(page, folder)
    found = [problem for problem in problems if problem]
    print("\n".join(found) or f"{len(pages)} pages in {folder}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
