"""The page at `/`: what the service predicts, its inputs, and a form that asks it."""

import html
import json

from ml.bundle import Bundle
from ml.contract import Column

STYLE = """
:root { color-scheme: light dark; --edge: #8884; --accent: #2b6cb0; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: 0; } .quiet { opacity: .75; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--edge); vertical-align: top; }
textarea { width: 100%; height: 16rem; font: .9rem/1.4 ui-monospace, monospace; box-sizing: border-box; padding: .5rem; }
button { font: inherit; padding: .4rem 1.2rem; background: var(--accent); color: #fff; border: 0; border-radius: .3rem; cursor: pointer; }
pre { background: #8882; padding: .7rem; overflow: auto; border-radius: .3rem; white-space: pre-wrap; }
.scroll { overflow-x: auto; }
"""
SCRIPT = """
document.getElementById('ask').onclick = async () => {
  const out = document.getElementById('answer');
  out.textContent = '...';
  try {
    const body = document.getElementById('row').value;
    const reply = await fetch('/predict', {method: 'POST', headers: {'Content-Type': 'application/json'}, body});
    out.textContent = reply.status + ' ' + JSON.stringify(await reply.json(), null, 2);
  } catch (error) { out.textContent = 'no answer: ' + error; }
};
"""


def render(bundle: Bundle) -> str:
    """The page as HTML, self-contained."""
    contract = bundle.contract
    target = next(column for column in contract.columns if column.role == "target")
    example = json.dumps(contract.example(), indent=2, ensure_ascii=False)
    rows = "".join(_row(column) for column in contract.inputs)
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(contract.project)} · Skewless</title><style>{STYLE}</style></head><body>
<h1>{html.escape(contract.project)}</h1>
<p class="quiet">predicts <code>{html.escape(target.name)}</code> · version <code>{html.escape(bundle.id)}</code></p>
<p>{html.escape(target.description)}</p>
<h2>Ask</h2><textarea id="row" aria-label="one row as JSON" spellcheck="false">{html.escape(example)}</textarea>
<p><button id="ask">POST /predict</button></p><pre id="answer" aria-live="polite">The answer appears here.</pre>
<h2>Inputs</h2><div class="scroll"><table><tr><th>field</th><th>type</th><th></th><th>meaning</th></tr>{rows}</table></div>
<p class="quiet"><a href="/contract">contract</a> · <a href="/openapi.json">OpenAPI</a> ·
<a href="/metrics">metrics</a> · <a href="/readyz">ready</a></p>
<script>{SCRIPT}</script></body></html>"""


def _row(column: Column) -> str:
    unit = f" ({html.escape(column.unit)})" if column.unit else ""
    needed = "required" if column.required else "optional"
    name, meaning = html.escape(column.name), html.escape(column.description)
    return f"<tr><td><code>{name}</code></td><td>{column.type}{unit}</td><td>{needed}</td><td>{meaning}</td></tr>"
