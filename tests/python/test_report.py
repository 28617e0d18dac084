"""The report: one file, nothing from a network, every section filled from what the steps left, readable at every width."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from conftest import Checkout

from ml.report import charts
from ml.report.page import Section, render, table

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
SWITCHES = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--no-first-run"]  # fmt: skip
MEASURE = """<script>document.title = JSON.stringify({page: document.documentElement.scrollWidth, window: innerWidth,
charts: [...document.querySelectorAll('svg')].map(svg => svg.getBoundingClientRect().width),
ink: getComputedStyle(document.body).color, paper: getComputedStyle(document.body).backgroundColor})</script>"""


@pytest.fixture(scope="module")
def page(lived: Checkout) -> Path:
    """The toy's page, after everything that it can show has been run."""
    lived.skewless("build", "toy")
    lived.json("train", "toy", "--epochs", "2", "--curve")
    lived.json("evaluate", "toy", "--ablate")
    lived.json("package", "toy")
    lived.json("profile", "toy", "parcels")
    lived.json("promote", "toy", "--force")  # two epochs are worse than the champion
    return Path(lived.json("report", "toy")["path"])


def test_the_page_is_one_file_that_loads_nothing_else(page: Path) -> None:
    text = page.read_text()
    HTMLParser().feed(text)
    assert not re.search(r"<(script|link|iframe|img)\b", text)
    assert {re.sub(r"[#?].*", "", url) for url in re.findall(r"""(?:src|href)\s*=\s*["']([^"']+)""", text)} <= {""}
    assert "url(http" not in text and "@import" not in text


def test_the_page_says_what_the_steps_found(page: Path, lived: Checkout) -> None:
    text, metrics = page.read_text(), lived.json("evaluate", "toy")
    assert f"{metrics['test']['log_loss']:.4g}" in text
    version = json.loads((lived.own / "champion").read_text())["version"]
    assert f"Champion {version}" in text and version in text.split('id="versions"')[1]
    assert "502 raw rows = 494 clean, 6 quarantined, 2 duplicates" in text
    assert "parcels, 502 rows" in text and "Learning curve" in text and "Shuffling one feature" in text and "depot open" in text
    sections = re.findall(r'<section id="(\w+)">', text)
    assert sections == ["accuracy", "answers", "slices", "features", "quality", "audit", "profile", "drift", "versions", "cost"]
    assert all(f'href="#{section}"' in text for section in sections)


def test_the_page_is_not_drawn_again_while_nothing_changes(page: Path, lived: Checkout) -> None:
    stamp = page.stat().st_mtime_ns
    assert lived.json("report", "toy")["unchanged"] and page.stat().st_mtime_ns == stamp


def test_a_project_without_a_run_says_what_to_do(toy: Checkout) -> None:
    assert "skewless run toy" in toy.skewless("report", "toy", code=3)


def test_whatever_is_written_into_the_page_stays_text() -> None:
    evil = "<script>alert('&')</script>"
    text = render(evil, "", [(evil, evil)], [Section("a", evil, table([evil], [[evil]]))])
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_charts_take_their_colours_from_the_page() -> None:
    drawn = [
        charts.intervals(["a"], [1.0], [[0.5, 2.0]], "minutes", [True]),
        charts.density(np.arange(9.0), np.arange(9.0) + 1, "actual (minutes)", "predicted (minutes)"),
        charts.histogram(np.arange(9.0), "error (minutes)"),
        charts.lines(["a", "b"], {"one": [1.0, None], "two": [2.0, 3.0]}, "day", "score", level=0.5),
    ]
    for svg, unit in zip(drawn, ["minutes", "predicted (minutes)", "error (minutes)", "score"], strict=True):
        colours = set(re.findall(r"#[0-9a-fA-F]{6}\b", svg))
        assert "var(--ink)" in svg and "var(--main)" in svg + drawn[1] and not colours - {"#000000", "#ffffff"}, colours
        assert unit in svg and "<text" in svg and 'width="100%"' in svg


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium to look with")
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, False), (390, True)])
def test_in_a_real_browser_the_page_fits_its_window_and_is_not_blank(page: Path, tmp_path: Path, width: int, dark: bool) -> None:
    copy = tmp_path / "page.html"
    copy.write_text(page.read_text().replace("</body>", f"{MEASURE}</body>"))
    switches = [*SWITCHES, f"--user-data-dir={tmp_path}/profile", f"--window-size={width},1200", *(["--force-dark-mode"] if dark else [])]
    frame = tmp_path / "frame.html"  # headless windows have a least width; a frame has not
    frame.write_text(f'<iframe id="f" src="page.html" width="{width}" height="1200"></iframe><script>'
                     "document.getElementById('f').onload = e => document.title = e.target.contentDocument.title</script>")  # fmt: skip
    command = [str(BROWSER), *switches, "--allow-file-access-from-files", "--virtual-time-budget=4000", "--dump-dom", frame.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    seen = json.loads((re.search(r"<title>(.*?)</title>", shown) or [None, "null"])[1].replace("&quot;", '"'))
    assert seen["page"] <= seen["window"] == width, "the page is wider than its window"
    assert len(seen["charts"]) > 5 and min(seen["charts"]) > 200
    brightness = {name: sum(map(int, re.findall(r"\d+", seen[name])[:3])) for name in ("ink", "paper")}
    assert (brightness["paper"] < brightness["ink"]) == dark
    picture = tmp_path / "page.png"
    subprocess.run([str(BROWSER), *switches, f"--screenshot={picture}", page.as_uri()], capture_output=True, timeout=120, check=True)
    assert picture.stat().st_size > 20_000
