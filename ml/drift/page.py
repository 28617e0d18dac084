"""Evidently's page, for details."""

from pathlib import Path

import pyarrow as pa

from ml.contract import Contract

PAGE_ROWS = 5_000


def write_page(contract: Contract, reference: pa.Table, current: pa.Table, path: Path) -> None:
    """Evidently's drift preset over bounded samples, as one self-contained page."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    names = ["prediction", *(column.name for column in contract.features)]
    numerical = ["prediction", *contract.numerical]
    definition = DataDefinition(numerical_columns=numerical, categorical_columns=list(contract.categorical))
    sets = []
    for table in (reference, current):
        step = max(1, table.num_rows // PAGE_ROWS)
        frame = table.select(names).take(pa.array(range(0, table.num_rows, step))).to_pandas()
        sets.append(Dataset.from_pandas(frame.astype(dict.fromkeys(numerical, float)), data_definition=definition))
    preset = DataDriftPreset(
        num_method="wasserstein", num_threshold=contract.drift["numerical"],
        cat_method="jensenshannon", cat_threshold=contract.drift["categorical"], drift_share=contract.drift["share"],
    )  # fmt: skip
    Report([preset]).run(current_data=sets[1], reference_data=sets[0]).save_html(str(path))
