"""The network, its head and its loss are one file, and replacing that file is enough."""

import ast
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from conftest import Checkout
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from ml.network import LogitHead, QuantileHead

TWO_LOGITS = '''
@dataclass(frozen=True)
class FocalHead:
    """Two logits, yes and no, under the focal loss (Lin et al., 2017); nothing is calibrated."""

    outputs: int = 2

    def loss(self, outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.losses(outputs, target, 1.0).mean()

    def losses(self, outputs: torch.Tensor, target: torch.Tensor, scale: float) -> torch.Tensor:
        given = outputs.log_softmax(1).gather(1, target.long()[:, None])[:, 0]
        return -((1 - given.exp()) ** 2) * given

    def score(self, mean_loss: float) -> float:
        return mean_loss

    def calibrate(self, outputs: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
        return {}

    def point(self, outputs: torch.Tensor, calibration: dict[str, float]) -> torch.Tensor:
        return outputs.softmax(1)[:, 1]

    def bounds(self, outputs: torch.Tensor, calibration: dict[str, float]) -> tuple[torch.Tensor, torch.Tensor]:
        return self.point(outputs, calibration) * 0.5, self.point(outputs, calibration) * 0.5 + 0.5


def head_of('''


def test_another_loss_and_another_head_in_one_file_train_package_and_predict(lived: Checkout, tmp_path: Path) -> None:
    before = lived.json("train", "toy")
    lived.edit("ml/network.py", "\ndef head_of(", TWO_LOGITS)
    lived.edit("ml/network.py", "else LogitHead()", "else FocalHead()")
    after = lived.json("train", "toy")
    assert after["run"] != before["run"] and after["score"] < 0.7 * before["score"], "a focal loss is far below the log loss"
    folder = lived.own / "runs" / after["run"]
    assert load_file(folder / "weights.safetensors")["head.bias"].shape == (2,)
    assert set(json.loads((folder / "calibration.json").read_text())) == {"rows"}
    version = lived.json("package", "toy")["version"]
    lived.json("promote", "toy", "--version", version, "--force")
    rows = "sent_at,depot,carrier,weight_g,is_priority\n" + "2024-03-05T14:30:00,A,swift,1200,false\n" * 3
    (tmp_path / "rows.csv").write_text(rows)
    done = lived.json("predict", "toy", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "out.parquet"))
    answered = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert done["answered"] == 3 and all(0 < row["lower"] < row["prediction"] < row["upper"] < 1 for row in answered)
    assert lived.json("evaluate", "toy")["test"]["interval_width"] == pytest.approx(0.5)


def test_only_the_network_asks_for_the_task(checkout: Path) -> None:
    for name in ("train/__init__.py", "train/calibration.py", "predictor.py", "bundle/__init__.py", "bundle/receipt.py"):
        asking = [node for node in ast.walk(ast.parse((checkout / "ml" / name).read_text())) if isinstance(node, ast.Attribute)]
        assert "task" not in {node.attr for node in asking}, name


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=3), st.floats(-50, 50))
def test_an_interval_holds_the_prediction_whatever_the_margin(row: list[float], margin: float) -> None:
    outputs, calibration = torch.tensor([row], dtype=torch.float64), {"margin": margin}
    bounds = QuantileHead().bounds(outputs, calibration)
    assert bounds is not None
    assert bounds[0] <= QuantileHead().point(outputs, calibration) <= bounds[1]


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=20), st.floats(0.1, 3), st.floats(-2, 2))
def test_a_calibrated_logit_is_a_probability_that_keeps_the_order(logits: list[float], scale: float, shift: float) -> None:
    rising = torch.tensor(sorted(logits), dtype=torch.float64)[:, None]
    found = LogitHead().point(rising, {"scale": scale, "shift": shift})
    assert ((found > 0) & (found <= 1)).all() and (found.diff() >= 0).all()
