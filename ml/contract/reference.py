"""docs/reference/meta.md, written from the dataclasses of ml.contract.meta: python -m ml.contract.reference."""

import dataclasses
import inspect
from pathlib import Path

from ml.contract import meta
from ml.contract.validation import expected

PAGE = Path("docs") / "reference" / "meta.md"
HEAD = """# YAML meta: every key

Written from the dataclasses in `ml/contract/meta.py` by `python -m ml.contract.reference`; edit those. A key that is not
listed here, a wrong type or a wrong value is an error of `skewless check`, which names the file, the entry, the key and the
nearest match. A model, source or column carries its meta under `config: {meta: {...}}`.
"""
SECTIONS: tuple[tuple[str, type], ...] = (
    ("A model: `meta`", meta.ModelMeta),
    ("The feature table: `meta.ml`", meta.MlMeta),
    ("An element of `meta.ml.slices`", meta.SliceMeta),
    ("`meta.ml.gates`", meta.GatesMeta),
    ("`meta.ml.drift`", meta.DriftMeta),
    ("`meta.ml.train`", meta.TrainMeta),
    ("A column of a model or seed: `meta`", meta.ColumnMeta),
    ("A quality rule: `meta.rule` of a column", meta.RuleMeta),
    ("A source or its table: `meta`", meta.SourceMeta),
    ("Files of a raw table: `meta.ingest`", meta.IngestMeta),
    ("`meta.ingest.simulate`", meta.SimulateMeta),
    ("Texts of a raw table: `meta.layout`", meta.LayoutMeta),
    ("A column of a source's table: `meta`", meta.SourceColumnMeta),
    ("A seed: `meta`", meta.NoMeta),
)


def page() -> str:
    """The reference page as Markdown."""
    return "\n".join([HEAD, *(_section(title, block) for title, block in SECTIONS)])


def _section(title: str, block: type) -> str:
    lines = [f"## {title}", "", inspect.cleandoc(block.__doc__ or ""), ""]
    fields = dataclasses.fields(block)
    if fields:
        lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    for one in fields:
        value = expected(block, one.name).replace("|", "\\|")
        lines.append(f"| `{one.name}` | {value} | {_default(one.default)} | {one.metadata['meaning']} |")
    return "\n".join(lines).rstrip() + "\n"


def _default(value: object) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value == () or dataclasses.is_dataclass(value):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
