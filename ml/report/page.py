"""The page's frame: one self-contained HTML file, wide and narrow, light and dark, on screen and on paper."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --card: #f6f7f9; --ink: #16191d; --quiet: #5d6773; --grid: #dfe3e8;
  --main: #2b6cb0; --other: #b7791f; --bad: #c53030; --good: #2f855a; }
@media (prefers-color-scheme: dark) { :root { --paper: #14171b; --card: #1d2127; --ink: #e8eaed; --quiet: #9aa5b1; --grid: #343b44;
  --main: #63a4e8; --other: #d9a441; --bad: #f07171; --good: #68c08f; } }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; background: var(--paper); color: var(--ink); }
main { max-width: 76rem; margin: 0 auto; padding: 1rem 1.2rem 4rem; }
h1 { margin: .6rem 0 0; font-size: 1.7rem; } h2 { margin: 2.6rem 0 .4rem; font-size: 1.25rem; }
h3 { margin: 1.2rem 0 .2rem; font-size: 1rem; }
p { max-width: 46rem; margin: .3rem 0 .8rem; } .quiet { color: var(--quiet); }
nav a { margin-right: 1rem; white-space: nowrap; } a { color: var(--main); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.tile { background: var(--card); border-radius: .5rem; padding: .7rem 1rem; }
.tile b { display: block; font-size: 1.45rem; line-height: 1.3; } .tile span { color: var(--quiet); font-size: .88rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 0 2rem; align-items: start; }
figure { margin: .4rem 0 1rem; max-width: 40rem; } figcaption { font-size: .92rem; font-weight: 600; }
svg { display: block; max-width: 100%; height: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .9rem .22rem 0; text-align: right; border-bottom: 1px solid var(--grid); vertical-align: top; }
th:first-child, td:first-child, .text { text-align: left; } th { color: var(--quiet); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; } code { font-size: .92em; }
@media print { :root { --paper: #fff; --card: #f3f4f6; --ink: #000; --quiet: #444; --grid: #ccc;
  --main: #1f4f86; --other: #8a5a10; --bad: #a11; --good: #195; }
  nav { display: none; } h2 { break-after: avoid; } figure, tr, .tile { break-inside: avoid; }
  main { max-width: none; padding: 0; } body { font-size: 11pt; } }
"""


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its heading, and its HTML."""

    anchor: str
    title: str
    body: str


def render(title: str, lead: str, tiles: Sequence[tuple[str, str]], sections: Sequence[Section]) -> str:
    """The whole file. `lead` and the bodies are HTML, everything else is text."""
    links = " ".join(f'<a href="#{section.anchor}">{html.escape(section.title)}</a>' for section in sections)
    shown = "".join(f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>' for value, label in tiles)
    parts = "".join(f'<section id="{section.anchor}"><h2>{html.escape(section.title)}</h2>{section.body}</section>' for section in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f'<h1>{html.escape(title)}</h1>{lead}<nav aria-label="sections">{links}</nav>'
        f'<div class="tiles">{shown}</div>{parts}</main></body></html>\n'
    )


def figure(caption: str, svg: str, note: str = "") -> str:
    """A chart with its sentence."""
    below = f'<p class="quiet">{html.escape(note)}</p>' if note else ""
    return f"<figure><figcaption>{html.escape(caption)}</figcaption>{svg}{below}</figure>"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], text: Sequence[int] = (), bad: Sequence[bool] | None = None) -> str:
    """An HTML table; the columns numbered in `text` are left-aligned, and rows marked `bad` have their last cell in red."""
    head = "".join(
        f'<th class="text">{html.escape(header)}</th>' if place in text else f"<th>{html.escape(header)}</th>"
        for place, header in enumerate(headers)
    )
    lines = []
    for number, row in enumerate(rows):
        marked = bad is not None and bad[number]
        cells = []
        for place, cell in enumerate(row):
            names = [name for name, wanted in (("text", place in text), ("bad", marked and place == len(row) - 1)) if wanted]
            of_class = f' class="{" ".join(names)}"' if names else ""
            cells.append(f"<td{of_class}>{html.escape(cell)}</td>")
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "".join(lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def text(sentence: str, quiet: bool = False) -> str:
    """A paragraph."""
    return f'<p class="quiet">{html.escape(sentence)}</p>' if quiet else f"<p>{html.escape(sentence)}</p>"


def pair(*parts: str) -> str:
    """Parts side by side where the page is wide enough."""
    inner = "".join(f"<div>{part}</div>" for part in parts if part)
    return f'<div class="pair">{inner}</div>'
