"""A compiled manifest → the checked contract of a project, with its online SQL and the rules that are enforced on requests."""

from typing import Any

from ml import contract as contracts
from ml.contract import Contract, leakage, online_sql


def contract_of(manifest: dict[str, Any], project: str) -> Contract:
    """The contract that a compiled manifest declares.

    Raises:
        SkewlessError: for a declaration, a feature's SQL or an origin of values that cannot be served.
    """
    contract = online_sql.complete(contracts.from_manifest(manifest, project), manifest)
    leakage.require_known(contract, manifest)
    return contract
