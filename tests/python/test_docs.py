"""The documentation names only what exists: files, links, verbs, options, settings, make targets; and its snippets fit the files."""

import argparse
import os
import re
from pathlib import Path

import pytest
import sqlglot
import yaml
from conftest import CHECKOUT

from ml import cli, errors

TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = [*TOP, *(str(path.relative_to(CHECKOUT)) for path in sorted((CHECKOUT / "docs").rglob("*.md")))]
GENERATED = {"docs/reference/command-line.md", "docs/reference/meta.md"}
WRITTEN = [page for page in PAGES if page not in GENERATED]
FOLDERS = ("docs", "macros", "ml", "models", "notebooks", "seeds", "serving", "tests", ".ci", ".github")
FILE = re.compile(r"[\w.-]+\.(?:md|py|sql|yml|toml|lock|ipynb)")
INVENTED = "parcels"  # the project that docs/how-to/add-a-project.md makes
STORED = {"snapshot.json", "run.json", "bundle.json"}
OTHER_OPTIONS = {"--help"}  # argparse adds it
OTHER_VARIABLES = {"SKEWLESS_RUN_ID", "SKEWLESS_SOURCE", "SKEWLESS_BUNDLE"}  # set by one process for its children
METAPHORS = re.compile(r"\b(lies|stands|beside|anew|mend|rooms?|houses?|doors?|told)\b", re.IGNORECASE)


def text_of(page: str) -> str:
    return (CHECKOUT / page).read_text()


def code_of(page: str) -> list[str]:
    """What a page shows as code: the lines of fenced blocks, and inline code."""
    text = text_of(page)
    blocks = re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```", text)
    prose = re.sub(r"(?ms)^ *```.*?^ *```", "", text)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", prose)


def options_by_verb() -> dict[str, set[str]]:
    (verbs,) = (action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction))
    return {name: {option for action in verb._actions for option in action.option_strings} for name, verb in verbs.choices.items()}


def calls(page: str) -> list[tuple[str, str]]:
    """Every `skewless VERB ...` that a page shows: the verb, and what follows it."""
    found = [re.match(r"(?:\.venv/bin/|\+? *)?skewless ([a-z]\S*)(.*)", line.strip()) for line in code_of(page)]
    return [(match[1], match[2].split("#")[0]) for match in found if match]


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    prose = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    titles = re.findall(r"(?m)^#+ (.+)$", prose)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def test_the_readme_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        file = Path(os.path.normpath((CHECKOUT / page).parent / path)) if path else CHECKOUT / page
        assert file.exists(), f"{page} links to {target}"
        assert not anchor or anchor in headings(file), f"{page} links to {target}"


def test_every_page_can_be_reached_from_the_index() -> None:
    index = set(re.findall(r"\]\(([^)#\s]+)", text_of("docs/README.md")))
    assert {str(Path(page).relative_to("docs")) for page in PAGES if page.startswith("docs/")} - index == {"README.md"}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_exists(page: str) -> None:
    names = {path.name for folder in (*FOLDERS, "") for path in (CHECKOUT / folder).glob("**/*" if folder else "*")}
    for code in code_of(page):
        for word in re.findall(r"[\w.<>*/-]+", code):
            if "<" in word or "*" in word or INVENTED in word:
                continue
            if word.split("/")[0] in FOLDERS and "/" in word:
                assert (CHECKOUT / word).exists(), f"{page} names {word}"
            elif FILE.fullmatch(word):
                assert word in names or word in STORED, f"{page} names {word}"


@pytest.mark.parametrize("page", WRITTEN)
def test_every_verb_and_option_that_is_named_exists(page: str) -> None:
    known = options_by_verb()
    for verb, rest in calls(page):
        assert verb in known, f"{page} names skewless {verb}"
        assert set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", rest)) <= known[verb], f"{page}: skewless {verb}{rest}"
    every = set().union(*known.values()) | OTHER_OPTIONS
    commands = [code for code in code_of(page) if not re.search(r"(^| )dbt ", code)]
    named = {option for code in commands for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", code)}
    assert named <= every, f"{page} names {named - every}"


def test_every_verb_has_a_place_in_the_documentation() -> None:
    named = {verb for page in WRITTEN if page != "CHANGELOG.md" for verb, _ in calls(page)}
    assert named == set(options_by_verb())


@pytest.mark.parametrize("page", WRITTEN)
def test_every_make_target_that_is_named_exists(page: str) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", text_of("Makefile")))
    named = {match[1] for line in code_of(page) if (match := re.match(r"make ([a-z][a-z-]*)", line.strip()))}
    assert named <= targets, f"{page} names {named - targets}"


def test_every_setting_that_is_read_is_described_and_no_other() -> None:
    files = [path for folder in ("ml", "serving", "models", "macros") for path in (CHECKOUT / folder).rglob("*")]
    files = [path for path in files if path.suffix in (".py", ".sql", ".yml")] + [CHECKOUT / "profiles.yml", CHECKOUT / "dbt_project.yml"]
    read = {name for path in files for name in re.findall(r"SKEWLESS_[A-Z_]+\b", path.read_text())}
    assert set(re.findall(r"SKEWLESS_[A-Z_]+\b", text_of("docs/reference/settings.md"))) == read | OTHER_VARIABLES
    assert {name for page in PAGES for name in re.findall(r"SKEWLESS_[A-Z_]+\b", text_of(page))} <= read | OTHER_VARIABLES


def test_every_exit_code_is_described() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.SkewlessError)]
    described = set(re.findall(r"(?m)^\| (\d+) \|", text_of("docs/reference/exit-codes.md")))
    assert {str(kind.exit_code) for kind in kinds} | {"0", "130"} == described


SNIPPET = re.compile(
    r"One line in `(?P<sql_file>\S+\.sql)`, after `(?P<anchor>\w+)`:\n\n```sql\n(?P<sql>.*?)```\n\n"
    r"and (?:one|its) entry at the same place in `(?P<yml_file>\S+\.yml)`:\n\n```yaml\n(?P<yml>.*?)```",
    re.DOTALL,
)


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/add-a-feature.md", "docs/how-to/add-a-rule.md"])
def test_a_line_of_sql_and_its_entry_fit_the_files(page: str) -> None:
    snippet = SNIPPET.search(text_of(page))
    assert snippet, f"{page} shows no line with its entry"
    anchor = snippet["anchor"]
    lines = text_of(snippet["sql_file"]).splitlines(keepends=True)
    (place,) = (number for number, line in enumerate(lines) if re.search(rf"(\bas|^\s*) {anchor},$", line))
    without = "".join(lines)
    after = "".join([*lines[: place + 1], snippet["sql"], *lines[place + 1 :]])
    plain = sqlglot.parse_one(re.sub(r"\{\{.*?\}\}", "made_by_a_macro", after, flags=re.DOTALL), dialect="duckdb")
    column = re.search(r" as (\w+),\n$", snippet["sql"])[1]  # type: ignore[index]
    assert column in {alias.alias for alias in plain.find_all(sqlglot.exp.Alias)} and column not in without
    for name in sqlglot.parse_one(f"select {snippet['sql'].strip().rstrip(',')}", dialect="duckdb").find_all(sqlglot.exp.Column):
        assert re.search(rf"\b{name.name}\b", without), f"{snippet['sql_file']} has no {name.name}"

    entries = re.split(r"(?m)(?=^      - name: )", text_of(snippet["yml_file"]))
    place = next(number for number, entry in enumerate(entries) if entry.startswith(f"      - name: {anchor}\n"))
    (model,) = yaml.safe_load("".join([*entries[: place + 1], snippet["yml"], *entries[place + 1 :]]))["models"]
    columns = {entry["name"]: entry for entry in model["columns"]}
    order = list(columns)
    assert order[order.index(anchor) + 1] == column and len(order) == len(model["columns"])
    assert columns[column]["config"]["meta"].keys() <= {key for entry in yaml_metas() for key in entry}
    assert columns[column]["config"]["meta"].keys() >= columns[anchor]["config"]["meta"].keys() - {"drift", "unit", "range", "is_present"}


def yaml_metas() -> list[dict[str, object]]:
    """The meta of every column of the models."""
    files = sorted((CHECKOUT / "models").rglob("*.yml"))
    models = [model for path in files for model in (yaml.safe_load(path.read_text()) or {}).get("models", [])]
    return [column.get("config", {}).get("meta", {}) for model in models for column in model.get("columns", [])]


@pytest.mark.parametrize("page", WRITTEN)
def test_the_pages_use_plain_words(page: str) -> None:
    prose = re.sub(r"`[^`\n]+`", "", re.sub(r"(?ms)^ *```.*?^ *```", "", text_of(page)))
    assert not METAPHORS.findall(prose)


def test_sources_use_plain_words() -> None:
    folders = ("ml", "serving", "macros", "models", "seeds", "tests")
    files = [path for folder in folders for path in (CHECKOUT / folder).rglob("*") if path.suffix in (".py", ".sql", ".yml", ".csv")]
    files.remove(Path(__file__))
    files += [CHECKOUT / name for name in ("Makefile", "dbt_project.yml", "profiles.yml", "pyproject.toml")]
    # The option `--beside` is part of the interface; the simulated District is a square on its corner.
    allowed = re.compile(r"--beside|given\.beside|a square that stands on its corner")
    found = {str(path.relative_to(CHECKOUT)): words for path in files if (words := METAPHORS.findall(allowed.sub("", path.read_text())))}
    assert not found
