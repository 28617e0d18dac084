"""The page docs/reference/command-line.md, from the declarations. Write it again: python -m ml.verbs.reference"""

from pathlib import Path

from ml.cli import COMMON, project_argument
from ml.verbs import VERBS
from ml.verbs.verb import Option, Verb

PAGE = "docs/reference/command-line.md"
EXIT_CODES = {
    "0": "done",
    "1": "failed",
    "2": "wrong usage",
    "3": "a gate refused: a red build, a receipt, a worse challenger, drift, a step whose predecessor is missing",
    "130": "interrupted with Ctrl-C",
    "143": "terminated with SIGTERM",
}
SETTINGS = {
    "SKEWLESS_ROOT": ("`.skewless` of the checkout", "the storage root: raw data, workspaces, bundles"),
    "SKEWLESS_WORKSPACE": ("`default`", "whose copy of everything but raw data to work in"),
    "SKEWLESS_PROJECT": ("the only folder of `models/`", "the project of a verb that is given none"),
    "SKEWLESS_MEMORY": ("`4GB`", "what the engine may take before it spills to disk, as DuckDB writes sizes"),
    "SKEWLESS_THREADS": ("`2`", "threads of dbt"),
    "SKEWLESS_TARGET": ("`duckdb`", "the dbt target: `duckdb` or `athena`"),
    "SKEWLESS_CHECKOUT": ("the current folder", "where to look for `dbt_project.yml`, in the folder and above it"),
    "SKEWLESS_ATHENA_STAGING": ("an example", "the `s3://` prefix of Athena's query results"),
    "SKEWLESS_ATHENA_DATA": ("an example", "the `s3://` prefix of Athena's tables"),
    "SKEWLESS_RAW_SCHEMA": ("`skewless_raw`", "the schema of the raw tables on Athena"),
}
HEAD = """# Command line

Generated from the declarations of the verbs by `python -m ml.verbs.reference`; a test compares.

    skewless VERB [PROJECT] [OPTIONS]

A verb ends with one line that says what it did and where the result is; `(unchanged)` means that nothing had to be done again.
A failure is printed on standard error: what is wrong, what to do, and where the log is. With `--json` standard output is one JSON object,
also on failure:

    {"verb": "train", "project": "flights", "error": {"message": "...", "hint": "...", "type": "GateError"},
     "exit_code": 3, "log": "/.../logs/20260101T120000.000Z-train-4242.log"}

Each run of a verb writes a log in the workspace, `logs/<UTC time>-<verb>-<process>.log`, with the command, the versions, the steps and the
traceback of what ended it; the newest 200 are kept.
"""


def page() -> str:
    """The whole page."""
    verbs = [_verb(verb) for verb in VERBS.values()]
    codes = _table(("exit code", "meaning"), list(EXIT_CODES.items()))
    settings = _table(("environment variable", "if not set", "meaning"), [(f"`{name}`", *about) for name, about in SETTINGS.items()])
    index = _table(("verb", "what it does"), [(f"[`{verb.name}`](#{verb.name})", verb.help) for verb in VERBS.values()])
    common = "## Options of every verb\n\n" + _table(("option", "meaning"), [_row(option) for option in COMMON])
    return "\n".join([HEAD, index, common, *verbs, "## Exit codes\n", codes, "## Settings\n", settings]).rstrip("\n") + "\n"


def _verb(verb: Verb) -> str:
    declared = (project_argument(verb), *verb.options)
    usage = " ".join(["skewless", verb.name, *(_usage(option) for option in declared)])
    recorded = f"with `--{verb.ledger}`" if isinstance(verb.ledger, str) else "yes" if verb.ledger else "no"
    lines = [f"## {verb.name}\n", f"{verb.help[0].upper()}{verb.help[1:]}. A row of the ledger: {recorded}.\n"]
    lines += [f"    {usage}\n", _table(("argument", "meaning"), [_row(option) for option in declared]), f"Example: `{verb.example}`\n"]
    return "\n".join(lines)


def _usage(option: Option) -> str:
    """An option as it is written on the command line, in brackets where it may be left out."""
    name = option.names[-1]
    value = option.metavar or (f"{{{','.join(option.choices)}}}" if option.choices else name.lstrip("-").upper())
    if name.startswith("-"):
        return f"[{name}]" if option.flag else f"[{name} {value}]"
    return {None: value, "?": f"[{value}]", "*": f"[{value} ...]"}[option.nargs]


def _row(option: Option) -> tuple[str, str]:
    name = option.names[-1]
    shown = ", ".join(f"`{name}`" for name in option.names) if name.startswith("-") else f"`{name.upper()}`"
    choices = f"; one of {', '.join(f'`{choice}`' for choice in option.choices)}" if option.choices else ""
    default = f"; default `{option.default}`" if option.default is not None else ""
    return shown, f"{option.help}{choices}{default}"


def _table(headers: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    cells = [headers, tuple("---" for _ in headers), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in cells)


if __name__ == "__main__":
    Path(PAGE).parent.mkdir(parents=True, exist_ok=True)
    Path(PAGE).write_text(page())
