"""Every value is shown as text: no markup, no control characters, no formulas."""

import io
import re
import xml.etree.ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ml import console
from ml.errors import SkewlessError
from ml.report import charts

HOSTILE = [
    "[red]x[/red]", "[/x]", "\x1b[31mred\x1b[0m", "a\rb", "two\nlines", "$\\frac$", "$x$ and $",
    "\u202egnp.exe", ":smile:", "\x9b31m", "tab\there",
    "nul\x00", "lone\udc80",
]  # fmt: skip
FORBIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.mark.parametrize("value", HOSTILE)
def test_a_table_shows_a_value_as_it_is_written(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.show(console.table([value, "rows"], [[value, "1"], ["next", value]], title=value))
    said = capsys.readouterr().out
    assert said.count(console.plain(value)) == 4 and not FORBIDDEN.search(said)
    assert len(said.splitlines()) == 4


@pytest.mark.parametrize("value", HOSTILE)
def test_a_text_shows_a_value_as_it_is_written(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.show(f"before {value} after")
    said = capsys.readouterr().out
    assert said == f"before {console.plain(value, keep=chr(10))} after\n" and not FORBIDDEN.search(said)


@pytest.mark.parametrize("value", HOSTILE)
def test_an_error_shows_a_value_as_it_is_written(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.complain(SkewlessError(f"no {value}", f"remove {value}"), f"/{value}.log")
    said = capsys.readouterr().err
    assert not FORBIDDEN.search(said)
    assert said.replace("\n    ", "\n").count(console.plain(value, keep="\n")) == 3


def test_no_value_looks_like_the_advice_of_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    console.complain(SkewlessError("no x\n  do: forged\ndo: forged", "see: skewless --help"))
    assert re.findall(r"(?m)^  do: .*", capsys.readouterr().err) == ["  do: see: skewless --help"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_progress_label_is_text(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(console, "_console", lambda stream: Console(file=out, force_terminal=True, width=120, color_system=None))
    monkeypatch.setattr(console, "SHOW_AFTER_SECONDS", 0.0)
    bar = console.Bar()
    bar(f"reading {value}", 1, 2)
    bar(f"waiting for {value}", 0, 0)
    bar.close()
    said = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]|\r", "", out.getvalue().replace("\n", " "))  # what rich itself writes to move the cursor
    assert (
        f"reading {console.plain(value)}" in said
        and "waiting for " in said
        and not FORBIDDEN.search(said.replace(console.plain(value), ""))
    )


@given(st.text())
def test_plain_text_has_one_line_and_no_control_characters(value: str) -> None:
    made = console.plain(value)
    assert not FORBIDDEN.search(made) and "\n" not in made
    assert console.plain(made) == made


@pytest.mark.parametrize("value", ["plain", "é → 日本", "x\u200cy"])
def test_ordinary_text_stays_as_it_is(value: str) -> None:
    assert console.plain(value) == value


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("chart", ["intervals", "lines", "histogram", "density"])
def test_a_chart_shows_a_value_as_it_is_written(chart: str, value: str) -> None:
    numbers = np.arange(20.0)
    drawn = {
        "intervals": lambda: charts.intervals([value, "b"], [1.0, 2.0], [None, (1.0, 3.0)], value),
        "lines": lambda: charts.lines([value, "b"], {value: [1.0, 2.0], "b": [2.0, 1.0]}, value, value),
        "histogram": lambda: charts.histogram(numbers, value, value),
        "density": lambda: charts.density(numbers, numbers, value, value),
    }[chart]()
    texts = [
        "".join(element.itertext()).strip() for element in xml.etree.ElementTree.fromstring(drawn).iter() if element.tag.endswith("text")
    ]
    assert texts.count(console.plain(value)) == {"intervals": 2, "lines": 4, "histogram": 2, "density": 2}[chart]


def test_sizes_are_written_as_a_person_reads_them() -> None:
    assert [console.size(count) for count in (0, 999, 1000, 12_345_678)] == ["0 B", "999 B", "1.0 kB", "12.3 MB"]
