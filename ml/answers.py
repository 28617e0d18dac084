"""Rows in, answers and refusals out: the one order of steps in which a request is answered.

Parse, rules and ranges of the inputs, features, network. The service, batch prediction, the promotion gate, the receipt and
the smoke test answer through `answer` and nothing else, so that what is certified is what is served.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ml import predictor
from ml.contract import Contract
from ml.online.parse import Refusal, parse
from ml.predictor import Predictions

if TYPE_CHECKING:
    from ml.bundle import Bundle


@dataclass(frozen=True)
class Answered:
    """The answers and refusals of some rows.

    `rows`: int64 [answered], the numbers of the rows that have an answer, rising; `features`, `predictions` and `flags`
    (names of the flag rules that a row breaks) are those of these rows, in that order. `refusals` name all other rows.
    """

    rows: np.ndarray
    features: pa.Table
    predictions: Predictions
    flags: list[list[str]]
    refusals: list[Refusal]


def decode(body: bytes | str) -> Any:
    """The JSON value of a request body; NaN and Infinity, which are not JSON, are errors.

    Raises:
        ValueError: for a body that is not JSON.
        RecursionError: for one that is nested too deeply.
    """
    return json.loads(body, parse_constant=_refuse_constant)


def answer(bundle: Bundle, rows: list[Any], whole: bool = False, absent: frozenset[str] = frozenset()) -> Answered:
    """Answer each row or refuse it. With `whole` one refused row leaves all unanswered, and the first stage that refuses ends it.

    `rows`: decoded JSON. `absent`: required inputs that these rows cannot have, because they were frozen under another contract.
    """
    contract = bundle.contract
    inputs, refusals = parse(contract, rows, absent)
    if whole and refusals:
        return _nothing(contract, refusals)
    broken, flags = bundle.online.judge(inputs)
    unread = {refusal.row for refusal in refusals}
    refusals = refusals + [refusal for refusal in broken if refusal.row not in unread]
    if whole and refusals:
        return _nothing(contract, refusals)
    kept = _without(np.arange(len(rows)), refusals)
    features = bundle.online.features(inputs if len(kept) == len(rows) else inputs.take(pa.array(kept)))
    predictions = predictor.predict(bundle.model, features)
    endless = _endless(contract, features, predictions.prediction)
    if endless:
        refusals = refusals + [replace(refusal, row=int(kept[refusal.row])) for refusal in endless]
        if whole:
            return _nothing(contract, refusals)
        finite = np.isfinite(predictions.prediction)
        kept, features, predictions = kept[finite], features.filter(pa.array(finite)), predictions.only(finite)
    return Answered(kept, features, predictions, [flags[row] for row in kept.tolist()], refusals)


def _endless(contract: Contract, features: pa.Table, prediction: np.ndarray) -> list[Refusal]:
    """The rows that have no finite answer, with the feature that is not finite: JSON cannot carry it."""
    refusals = []
    for row in np.flatnonzero(~np.isfinite(prediction)):
        values = {name: features[name][int(row)].as_py() for name in contract.numerical}
        name, value = next(((name, value) for name, value in values.items() if value is not None and not np.isfinite(value)), ("", None))
        refusals.append(Refusal(int(row), name, "finite", value, "this feature of the row is not a finite number"))
    return refusals


def _without(rows: np.ndarray, refusals: list[Refusal]) -> np.ndarray:
    return rows[~np.isin(rows, [refusal.row for refusal in refusals])] if refusals else rows


def _nothing(contract: Contract, refusals: list[Refusal]) -> Answered:
    none = np.zeros(0)
    features = pa.table({column.name: pa.nulls(0) for column in contract.features})
    return Answered(none.astype(np.int64), features, Predictions(none, None, None), [], refusals)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is a word of JavaScript, not of JSON")
