"""The folder that a run over videos leaves: written so that it survives anything, read lazily."""

from regard.runs.recorded_video import RecordedInstance, RecordedVideo
from regard.runs.run import Run, open_run

__all__ = ["RecordedInstance", "RecordedVideo", "Run", "open_run"]
