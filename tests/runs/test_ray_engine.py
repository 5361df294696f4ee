"""A run on a local Ray: workers that die lose nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import environment
from regard.errors import MissingDependency
from regard.runs import Run
from regard.runs.ray_engine import ray_engine
from runs.conftest import contents

TESTS = Path(__file__).parents[1]
# Ray's own modules warn, and every process that Ray starts must find these files.
RAY_ENVIRONMENT = {
    "PYTHONPATH": f"{environment()['PYTHONPATH']}{os.pathsep}{TESTS}",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"regard\[ray\]"):
        ray_engine(1)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [0, 1])
def test_a_run_on_ray_has_the_same_bytes(
    made: Run, dataset: Path, tmp_path: Path, shared: Path, kills: int
) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    out = made.path.parent / f"on_ray_{kills}"
    done = subprocess.run(
        [sys.executable, "-m", "runs.test_ray_engine", shared, dataset, out, str(kills)],
        env=environment(**RAY_ENVIRONMENT),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert contents(out) == contents(made.path)


def main() -> None:
    """Run the dataset on Ray; a worker is killed while it is at a video."""
    import ray
    import torch

    from dvis_reference import Reference
    from runs.conftest import run_over

    torch.set_num_threads(1)
    shared, dataset, out, kills = sys.argv[1:]
    ray.init(include_dashboard=False, log_to_driver=False, num_cpus=2)
    network = Reference(Path(shared) / "parity" / "dvis_daq").model()
    engine = ray_engine(2)

    def killing(*arguments: Any) -> Iterator[Any]:
        """The engine; the first worker dies while it is at a video."""
        from regard.runs import ray_engine as module

        if int(kills):
            worker_run = module.Worker.run

            def dying(self: Any, source: Any) -> Any:
                mark = Path(out).with_suffix(".killed")
                if not mark.exists():
                    mark.touch()
                    (Path(out) / "attention_maps" / "video_1_segment_0-3.safetensors").touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return worker_run(self, source)

            module.Worker.run = dying  # type: ignore[method-assign]
        return engine(*arguments)

    outcome = run_over(network, Path(dataset), Path(out), engine=killing)
    assert not outcome.failed, outcome.failed
    assert Path(out).with_suffix(".killed").exists() == bool(int(kills))


if __name__ == "__main__":
    main()
