"""make bench-etl ROWS=...: the taxi project from nothing to a snapshot, step by step, next to the same SQL without dbt.

Each step is a child process; its memory is that of the whole tree of its processes, sampled ten times a second, and the disk
is what is below the storage root then. The figures go to build/bench-etl.json as one flat object. The yardstick is the
compiled SELECT of every model, run one after the other in a bare DuckDB of the same memory, from the same raw Parquet files.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psutil

CHECKOUT = Path(__file__).parents[2]
GENERATE = """
import sys
from ml.contract.meta import SimulateMeta
from ml.simulate import stored
from ml.storage import open_storage
wanted = SimulateMeta(module="ml.simulate.taxi", rows=int(sys.argv[2]), seed=1)
stored.files(open_storage(sys.argv[1], "default"), "taxi", wanted, lambda *_: None)
"""
MEGABYTE = 1_000_000


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--rows", type=int, default=1_000_000)
    given.add_argument("--keep", action="store_true", help="leave the storage root of the bench in build/bench-etl")
    arguments = given.parse_args()
    root = CHECKOUT / "build" / "bench-etl"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    rows, steps = arguments.rows, []
    # One node at a time, so that the nodes' times add up; the engine has both cores for each.
    environment = {**os.environ, "SKEWLESS_ROOT": str(root), "SKEWLESS_THREADS": "1", "PYTHONPATH": str(CHECKOUT)}
    skewless = [sys.executable, "-m", "ml.cli"]
    print(f"{rows:,} rows, {os.cpu_count()} cores, engine memory {environment.get('SKEWLESS_MEMORY', '4GB')}\n")
    print(f"{'step':<24}{'seconds':>9}{'rows/s':>12}{'MB written':>12}{'peak MB':>9}")
    commands = {
        "generate": [sys.executable, "-c", GENERATE, str(root), str(rows)],
        "ingest": [*skewless, "ingest", "taxi", f"{root}/simulated/taxi/{rows}-1/*.txt", "--json"],
        "build": [*skewless, "build", "taxi", "--json"],
        "snapshot": [*skewless, "snapshot", "taxi", "--json"],
    }
    for name, command in commands.items():
        steps.append(step(name, command, environment, root, rows))
    nodes = node_times(root)
    bare = bare_duckdb(root, environment)
    increment = correct_last_month(root, rows, environment, skewless)
    startup = steps[2]["seconds"] - nodes["all"]
    print(f"\nof the build: models {nodes['models']:.1f} s, tests {nodes['tests']:.1f} s, dbt itself {startup:.1f} s")
    ratio = nodes["models"] / bare
    print(f"the same SELECTs in bare DuckDB {bare:.1f} s; dbt's nodes take {ratio:.2f} times that")
    whole = steps[1]["seconds"] + steps[2]["seconds"]
    print(f"a corrected file of {increment['rows']:,} rows: {increment['seconds']:.1f} s to ingest and build, all files {whole:.1f} s")
    after = steps[1:]
    seconds, peak = sum(entry["seconds"] for entry in after), max(entry["peak"] for entry in after)
    high = max(entry["disk"] for entry in steps)
    print(f"text to snapshot {seconds:.1f} s, {seconds / rows * 1e6:.1f} s a million rows; at most {peak / 1e9:.2f} GB of memory")
    print(f"disk at its highest {high / 1e9:.2f} GB, of which {text_bytes(root) / 1e9:.2f} GB are the text")
    figures: dict[str, Any] = {
        "rows": rows, "seconds": round(seconds, 2), "peak_memory_gb": round(peak / 1e9, 3),
        "seconds_per_million_rows": round(seconds / rows * 1e6, 3), "dbt_to_duckdb_ratio": round(ratio, 3),
        "disk_high_water_gb": round(high / 1e9, 3), "text_gb": round(text_bytes(root) / 1e9, 3),
        "models_seconds": round(nodes["models"], 2), "tests_seconds": round(nodes["tests"], 2), "duckdb_seconds": round(bare, 2),
        "increment_rows": increment["rows"], "increment_seconds": round(increment["seconds"], 2),
        "dbt_startup_seconds": round(startup, 2), "cores": os.cpu_count(),
    }  # fmt: skip
    for entry in steps:
        figures |= {f"{entry['name']}_{what}": entry[what] for what in ("seconds", "rows_per_second", "bytes")}
        figures[f"{entry['name']}_peak_memory_gb"] = round(entry["peak"] / 1e9, 3)
    out = CHECKOUT / "build" / "bench-etl.json"
    out.with_suffix(".tmp").write_text(json.dumps(figures, indent=1) + "\n")
    out.with_suffix(".tmp").replace(out)
    print(f"figures: {out.relative_to(CHECKOUT)}")
    if not arguments.keep:
        shutil.rmtree(root)
    return 0


def correct_last_month(root: Path, rows: int, environment: dict[str, str], skewless: list[str]) -> dict[str, Any]:
    """Seconds to take in the last month's file once more, a line shorter, and to build: what one new file costs among all."""
    last = max((root / "simulated" / "taxi" / f"{rows}-1").glob("*.txt"))
    copy = root / "corrected" / last.name
    copy.parent.mkdir()
    lines = last.read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"".join(lines[:-1]))
    commands = {
        "ingest one file": [*skewless, "ingest", "taxi", str(copy), "--json"],
        "build once more": [*skewless, "build", "taxi", "--json"],
    }
    steps = [step(name, command, environment, root, len(lines) - 2) for name, command in commands.items()]
    return {"rows": len(lines) - 2, "seconds": sum(entry["seconds"] for entry in steps)}


def step(name: str, command: list[str], environment: dict[str, str], root: Path, rows: int) -> dict[str, Any]:
    """Run a child to its end; its seconds, the bytes that it added below the root, and the peaks of memory and disk."""
    before, began = disk(root), time.perf_counter()
    child = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = {"peak": 0, "disk": before}
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(child.pid, root, seen, done))
    watcher.start()
    _, errors = child.communicate()
    seconds = time.perf_counter() - began
    done.set()
    watcher.join()
    if child.returncode:
        sys.exit(f"{name} failed with exit {child.returncode}:\n{errors}")
    written = disk(root) - before
    print(f"{name:<24}{seconds:>9.1f}{rows / seconds:>12,.0f}{written / MEGABYTE:>12,.0f}{seen['peak'] / MEGABYTE:>9,.0f}", flush=True)
    return {"name": name, "seconds": round(seconds, 2), "rows_per_second": round(rows / seconds), "bytes": written, **seen}


def watch(pid: int, root: Path, seen: dict[str, int], done: threading.Event) -> None:
    beats = 0
    while not done.wait(0.1):
        seen["peak"] = max(seen["peak"], sum(resident(pid)))
        beats += 1
        if beats % 10 == 0:
            seen["disk"] = max(seen["disk"], disk(root))


def resident(pid: int) -> Iterator[int]:
    try:
        parent = psutil.Process(pid)
        tree = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return
    for process in tree:
        try:
            yield process.memory_info().rss
        except psutil.Error:
            continue


def disk(root: Path) -> int:
    total = 0
    for folder, _, files in os.walk(root):
        for file in files:
            try:
                total += os.stat(os.path.join(folder, file)).st_blocks * 512
            except OSError:
                continue
    return total


def text_bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.glob("simulated/*/*/*.txt"))


def node_times(root: Path) -> dict[str, float]:
    """Seconds of execution of the last build's models (and seeds), of its tests, and of both."""
    results = json.loads((root / "workspaces/default/target/run_results.json").read_text())["results"]
    models = sum(result["execution_time"] for result in results if result["unique_id"].startswith(("model.", "seed.")))
    tests = sum(result["execution_time"] for result in results if result["unique_id"].startswith(("test.", "unit_test.")))
    return {"models": models, "tests": tests, "all": models + tests}


def bare_duckdb(root: Path, environment: dict[str, str]) -> float:
    """Seconds that the compiled SELECTs of the models take one after the other, as the tables and views that they are."""
    target = root / "workspaces/default/target"
    manifest = json.loads((target / "manifest.json").read_text())
    order = [result["unique_id"] for result in json.loads((target / "run_results.json").read_text())["results"]]
    database = root / "bare" / "warehouse.duckdb"
    database.parent.mkdir()
    opened = duckdb.connect(
        str(database), config={"memory_limit": environment.get("SKEWLESS_MEMORY", "4GB"), "preserve_insertion_order": False}
    )
    seconds = 0.0
    for name in order:
        node = manifest["nodes"].get(name, {})
        if node.get("resource_type") == "seed":
            opened.execute(f"create table {node['name']} as select * from read_csv('{CHECKOUT / node['original_file_path']}')")
        if node.get("resource_type") != "model":
            continue
        kind = "view" if node["config"]["materialized"] == "view" else "table"
        began = time.perf_counter()
        opened.execute(f"create {kind} {node['name']} as {node['compiled_code']}")
        seconds += time.perf_counter() - began
    opened.close()
    shutil.rmtree(database.parent)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
