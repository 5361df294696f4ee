"""The run of the tests of runs, to be made again under faults."""

from runs.conftest import dataset, made, network, run_dataset

__all__ = ["dataset", "made", "network", "run_dataset"]
