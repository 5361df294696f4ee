"""A run that is stopped goes on as if it had not been."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.run import Losses, Plan, Run, Stage

PLAN = Plan(
    steps=6,
    learning_rate=0.1,
    warm_up=2,
    stages=(Stage(until=0.5, size_px=32, batch=2), Stage(until=1.0, size_px=64, batch=4)),
)


class Stopped(Exception):
    pass


def trained(folder: Path, *, stop_at: int | None = None) -> Run:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    run = Run(network, PLAN, folder)

    def losses(stage: Stage, random: np.random.Generator) -> Losses:
        if run.step == stop_at:
            raise Stopped
        rows = torch.from_numpy(random.normal(size=(stage.batch, 4))).float()
        return {"square": (network(rows) - rows).square().mean()}

    run.train(losses, save_every=2)
    return run


def test_a_stopped_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = trained(tmp_path / "whole")
    with pytest.raises(Stopped):
        trained(tmp_path / "stopped", stop_at=5)
    resumed = trained(tmp_path / "stopped")
    assert "step 6 of 6" in capsys.readouterr().out
    for name, value in whole.averaged.state_dict().items():
        assert torch.equal(value, resumed.averaged.state_dict()[name]), name


def test_the_rate_rises_then_falls_and_stages_follow_the_steps() -> None:
    rates = [PLAN.rate(step) for step in range(6)]
    assert rates[0] < rates[1] > rates[2] > rates[5] > 0
    assert [PLAN.stage(step).size_px for step in range(6)] == [32, 32, 32, 64, 64, 64]


def test_the_average_lags_behind_the_network(tmp_path: Path) -> None:
    run = trained(tmp_path)
    own, new = run.averaged.state_dict(), run.network.state_dict()
    assert not torch.equal(own["0.weight"], new["0.weight"])
    assert torch.isfinite(own["1.running_var"]).all()
