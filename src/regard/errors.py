"""Every error that regard raises on purpose.

    RegardError
    ├── CaptureError (RuntimeError)        while a model is being recorded
    │   ├── NothingRecorded                the model ran, and no attention was caught
    │   └── StaleRecord                    a recorded tensor was overwritten after the recording
    ├── SelectionError (LookupError)       no such layer, head, query or call
    ├── GeometryError (ValueError)         tokens and pixels do not fit together
    ├── InputError (ValueError)            an input that the model cannot take
    ├── MediaError (OSError)               an image cannot be read, or is refused
    ├── CheckpointError (ValueError)       weights that do not load
    │   └── UnsafeCheckpoint               weights that could only be read by running their code
    ├── DeviceError (RuntimeError)         a device that torch cannot use here
    ├── ModelNotFound (LookupError)        a model source that leads nowhere
    ├── FormatError (ValueError)           a recording file that is damaged or of another kind
    ├── RunError (OSError)                 a run's folder cannot be written, or is another run's
    └── MissingDependency (ImportError)    an optional package is needed

Each also is the builtin that a caller would expect, so ``except ValueError`` works without
importing anything from here. A message says what happened, where, what was found, what was
expected, and the next step.
"""


class RegardError(Exception):
    """Base of every error that regard raises on purpose."""


class CaptureError(RegardError, RuntimeError):
    """Recording a model failed."""


class NothingRecorded(CaptureError):
    """The body of ``record`` ended without one recorded attention call."""


class StaleRecord(CaptureError):
    """A tensor that was kept by reference has been overwritten since."""


class SelectionError(RegardError, LookupError):
    """A layer, head, query or call that does not exist was asked for."""


class GeometryError(RegardError, ValueError):
    """Tokens and pixels do not fit together."""


class InputError(RegardError, ValueError):
    """An input that the model cannot take."""


class MediaError(RegardError, OSError):
    """An image cannot be read, or is refused."""


class CheckpointError(RegardError, ValueError):
    """Weights do not load."""


class UnsafeCheckpoint(CheckpointError):
    """Weights that could be read only by running code that came with them."""


class DeviceError(RegardError, RuntimeError):
    """A device that torch cannot use on this machine."""


class ModelNotFound(RegardError, LookupError):
    """A model source leads nowhere."""


class FormatError(RegardError, ValueError):
    """A file is damaged, or is not what it was taken for."""


class RunError(RegardError, OSError):
    """The folder of a run cannot be written, or belongs to another run."""


class MissingDependency(RegardError, ImportError):
    """An optional package is needed; the message names the extra to install."""
