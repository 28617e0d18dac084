"""The frozen feature SQL and the rules in an embedded DuckDB: the reference, for one row or many."""

import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ml.contract import Contract
from ml.errors import SkewlessError
from ml.online.parse import ARROW, Refusal


class OnlineFeatures:
    """The frozen feature SQL and the rules, over lookups held in memory. One instance serves many threads."""

    def __init__(self, contract: Contract, lookups: Path) -> None:
        self.contract = contract
        self._root = duckdb.connect(":memory:")
        self._root.execute("set threads = 1")  # one row gains nothing from threads, and they cost its latency
        for name in contract.lookups:
            self._root.register("lookup", pq.read_table(lookups / f"{name}.parquet"))
            self._root.execute(f'create table "{name}" as select * from lookup')
            self._root.unregister("lookup")
        key = contract.only("key")
        self._key_type = ARROW[next(column.type for column in contract.columns if column.role == "key")]
        names = ", ".join(f'"{column.name}"' for column in contract.features)
        self._sql = f'select {names} from ({contract.online_sql}) order by cast("{key}" as bigint)'
        self._rules = [rule for rule in contract.rules if rule.sql]
        judged = ", ".join(f'not coalesce({rule.sql}, false) as "{rule.name}"' for rule in self._rules)
        self._rules_sql = f'select {judged} from "{contract.request_relation}" order by cast("{key}" as bigint)' if judged else ""
        self._threads = threading.local()

    def features(self, inputs: pa.Table) -> pa.Table:
        """The features of parsed rows: one column for each feature of the contract, in its order, one row a row.

        Raises:
            SkewlessError: when a lookup repeats a key, so that the rows are not one to one.
        """
        result = self._run(self._sql, inputs)
        if result.num_rows != inputs.num_rows:
            raise SkewlessError(
                f"the features of {inputs.num_rows} rows came out as {result.num_rows}", "make the lookups unique by their key"
            )
        return result

    def judge(self, inputs: pa.Table) -> tuple[list[Refusal], list[list[str]]]:
        """Which rows break a quarantine rule, and for each row the names of the flag rules that it breaks."""
        flags: list[list[str]] = [[] for _ in range(inputs.num_rows)]
        if not self._rules_sql:
            return [], flags
        broken = self._run(self._rules_sql, inputs)
        refusals = []
        for rule in self._rules:
            for row in (index for index, bad in enumerate(broken[rule.name].to_pylist()) if bad):
                if rule.action == "flag":
                    flags[row].append(rule.name)
                    continue
                seen = {name: inputs[name][row].as_py() for name in rule.inputs}
                value = next(iter(seen.values())) if len(seen) == 1 else seen
                refusals.append(Refusal(row, ", ".join(seen), rule.name, value, rule.description))
        return refusals, flags

    def _run(self, sql: str, inputs: pa.Table) -> pa.Table:
        if not hasattr(self._threads, "cursor"):
            self._threads.cursor = self._root.cursor()
        numbers = pa.array(range(inputs.num_rows), pa.int64()).cast(self._key_type)
        self._threads.cursor.register(self.contract.request_relation, inputs.append_column(self.contract.only("key"), numbers))
        return self._threads.cursor.execute(sql).to_arrow_table()
