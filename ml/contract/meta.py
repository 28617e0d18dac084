"""The blocks of YAML meta, as dataclasses: every key that an analyst may write, its type, its bounds and what it means.

`ml.contract.validation` reads a block with its dataclass and refuses what does not fit; `ml.contract.reference` writes
docs/reference/meta.md from the same fields. A new key is one field here.
"""
# ruff: noqa: RUF009 - `key` makes a dataclasses.field

from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

Task = Literal["regression", "binary"]
Role = Literal["key", "group", "time", "split", "sample", "target", "feature", "input"]
Kind = Literal["numerical", "categorical"]
Dimension = Literal["valid", "accurate", "consistent", "uniform", "unified"]
Action = Literal["quarantine", "flag"]
Availability = Literal["request", "outcome"]
Scalar = str | int | float | bool
SIMULATORS = "ml.simulate."  # no other module that YAML names is imported


def key(meaning: str, default: Any = MISSING, low: float | None = None, high: float | None = None, above: float | None = None) -> Any:
    """A field of a block: what it means, its default (required without one), and the bounds of its numbers."""
    return field(default=default, metadata={"meaning": meaning, "low": low, "high": high, "above": above})


@dataclass(frozen=True, kw_only=True)
class SliceMeta:
    """A part of the rows whose errors are reported separately. A categorical feature may be written as its name alone."""

    column: str = key("A categorical feature, the time column (with `by: month`) or a numerical feature (with `edges`).")
    by: Literal["value", "month", "band"] | None = key("How rows are grouped; `band` where there are edges, else `value`.", None)
    edges: tuple[float, ...] = key("Rising limits between the bands of a numerical feature.", ())
    name: str | None = key("Name in the report; by default the column's, or `month`.", None)

    def __post_init__(self) -> None:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError("edges must rise")


@dataclass(frozen=True, kw_only=True)
class GatesMeta:
    """What `evaluate` asks of a network before it may be promoted. A gate that is not declared is not asked."""

    boosting: float | None = key("Share by which the error on test may exceed that of gradient boosting.", None, low=0)
    linear_out_of_time: bool | None = key("Whether the error out of time must be below that of the linear baseline.", None)
    coverage: tuple[float, float] | None = key(
        "Lowest and highest share of test rows that their 90 % interval may contain.", None, low=0, high=1
    )

    def __post_init__(self) -> None:
        if self.coverage and self.coverage[0] > self.coverage[1]:
            raise ValueError("coverage must be [low, high]")


@dataclass(frozen=True, kw_only=True)
class DriftMeta:
    """Thresholds of `skewless drift`."""

    numerical: float = key("Distance from which a numerical column counts as moved, in standard deviations of the reference.", 0.1, above=0)
    categorical: float = key("Jensen-Shannon distance from which a categorical column counts as moved.", 0.1, above=0, high=1)
    share: float = key("Share of the voting features that must have moved for a verdict of drift.", 0.3, above=0, high=1)


@dataclass(frozen=True, kw_only=True)
class TrainMeta:
    """Settings of a training run that differ from the defaults of `ml.train.TrainConfig`. Options of the verb take precedence."""

    epochs: int | None = key("Most passes over the train split.", None, low=1)
    patience: int | None = key("Epochs without a better validation error after which training stops.", None, low=1)
    batch_size: int | None = key("Most rows in one step.", None, low=1)
    learning_rate: float | None = key("Highest learning rate of the schedule.", None, above=0)
    weight_decay: float | None = key("Weight decay of the optimizer.", None, low=0)


@dataclass(frozen=True, kw_only=True)
class MlMeta:
    """The declaration of a target: what is predicted from which request relation, and how the network is judged."""

    request: str = key("Name of the request relation, a model with one row per entity.")
    task: Task = key("What the target is: a number, or true and false.")
    baseline: str | None = key("A numerical feature whose straight line is the simplest baseline.", None)
    residual: bool = key("Whether the network predicts the difference between the target and the baseline.", False)
    slices: tuple[str | SliceMeta, ...] = key("Parts of the rows whose errors are reported separately.", ())
    gates: GatesMeta = key("Conditions for a promotion.", GatesMeta())
    drift: DriftMeta = key("Thresholds of the drift verdict.", DriftMeta())
    train: TrainMeta = key("Settings of training.", TrainMeta())


@dataclass(frozen=True, kw_only=True)
class RuleMeta:
    """A quality rule, on a boolean column `ok_<name>` that is false for a row that breaks it."""

    dimension: Dimension = key("Which question about the data the rule answers; seeds/quality_dimensions.csv lists them.")
    budget: float = key("Share of a load's rows that may break the rule before the build fails.", low=0, high=1)
    action: Action = key("Whether a row that breaks the rule is set aside, or kept and marked.")
    catches: tuple[str, ...] = key("Defects of the simulator that the rule is meant to find; `skewless quality` measures how well.", ())


@dataclass(frozen=True, kw_only=True)
class ColumnMeta:
    """What a column of a model or seed is for. Every column of a staging model must say when it is `available`."""

    role: Role | None = key("What the column is for in the feature table or request relation; other columns have none.", None)
    kind: Kind | None = key("How a feature is encoded; every feature has one.", None)
    unit: str | None = key("Unit of measurement.", None)
    family: str | None = key("Features of one family are permuted together when their importance is measured.", None)
    required: bool = key("Whether a request without this input is refused.", False)
    example: Scalar | None = key("Value of this input in the example request.", None)
    drift: Literal["ignore"] | float | None = key("A threshold of its own, or `ignore` for a column without a vote.", None, above=0)
    range: tuple[float, float] | None = key("Lowest and highest value; the data test `keeps_declared_ranges` enforces it.", None)
    is_present: bool = key("Whether the column always has a value; the data test `keeps_declared_ranges` enforces it.", False)
    available: Availability | None = key(
        "When a column of a staging model is known: `request`, when the question is asked, or `outcome`, only afterwards.", None
    )
    rule: RuleMeta | None = key("The quality rule that the column judges.", None)
    catches: tuple[str, ...] = key("Defects of the simulator that this column marks, where it is not a rule.", ())

    def __post_init__(self) -> None:
        if self.range and self.range[0] > self.range[1]:
            raise ValueError("range must be [low, high]")


@dataclass(frozen=True, kw_only=True)
class ModelMeta:
    """The meta of a model. The one with `ml` is the feature table of its project."""

    ml: MlMeta | None = key("Declares the model as a feature table with a target.", None)


@dataclass(frozen=True, kw_only=True)
class NoMeta:
    """The meta of a seed, which has no keys."""


@dataclass(frozen=True, kw_only=True)
class SimulateMeta:
    """The simulated files that replace a raw table's files where none were ingested, and what their truth says."""

    module: str = key("Module below `ml.simulate` whose function `generate` writes the files.")
    rows: int = key("Rows to simulate.", low=1)
    seed: int = key("Seed of the random numbers.", low=0)
    noise: str | None = key("Column of the truth with the noise in the target of a row; without it no noise floor is reported.", None)
    truth: tuple[str, ...] = key("Other columns of the truth that mark no defect.", ())

    def __post_init__(self) -> None:
        if not self.module.startswith(SIMULATORS) or not all(part.isidentifier() for part in self.module.split(".")):
            raise ValueError(f"module must be a module below {SIMULATORS.rstrip('.')}, got {self.module!r}")


@dataclass(frozen=True, kw_only=True)
class IngestMeta:
    """How the files of a raw table are written and where they are found. A table's keys take precedence over those of its source."""

    delimiter: str = key("Character between two fields.", ",")
    quoted: bool = key("Whether fields may be enclosed in double quotes.", True)
    unnamed: int = key("Trailing columns that lines have and the header does not name.", 0, low=0)
    package: str | None = key("Installed Python package that contains the file.", None)
    file: str | None = key("File that is read when the command names none, in the package or else in the project's folder.", None)
    simulate: SimulateMeta | None = key("What to simulate where no files were ingested.", None)

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1:
            raise ValueError(f"delimiter must be one character, got {self.delimiter!r}")


@dataclass(frozen=True, kw_only=True)
class LayoutMeta:
    """How the texts of a raw table are read by the macro `staged_layout`."""

    city: str = key("Value of the column `city` for every row of the table.")
    simulated_city: str | None = key("The same for rows of simulated files.", None)
    nulls: tuple[str, ...] = key("Spellings of a missing value, besides the empty text.", ())
    times: tuple[str, ...] = key("Forms in which times are written, tried in this order.", ())


@dataclass(frozen=True, kw_only=True)
class SourceMeta:
    """The meta of a source or of one of its tables; a table has the keys of its source too."""

    external_location: str | None = key("Where dbt-duckdb reads the table's files.", None)
    predictions: bool = key("Whether the table holds what `skewless predict` wrote, and is not ingested.", False)
    ingest: IngestMeta = key("How files are read into the raw table.", IngestMeta())
    layout: LayoutMeta | None = key("How texts of the raw table are read.", None)


@dataclass(frozen=True, kw_only=True)
class SourceColumnMeta:
    """The meta of a column of a source's table."""

    to: str | None = key("Column of the unified staging model that the text becomes (macro `staged_layout`).", None)
