"""The command line: one function a command, with the same words as the Python call.

Commands are parsed, and refused, before torch is imported.
"""

import logging
import sys
from collections.abc import Sequence

import cyclopts

from regard import __version__
from regard.cli.demo import demo
from regard.cli.image import image
from regard.cli.layers import layers
from regard.cli.models import models
from regard.errors import RegardError

app = cyclopts.App(
    name="regard",
    help="See what a vision transformer looks at.",
    version=__version__,
    help_on_error=False,
    default_parameter=cyclopts.Parameter(negative=""),
)
for command in (image, layers, models, demo):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 if all is done, 1 if something failed, 2 for bad arguments."""
    logging.basicConfig(format="regard: %(message)s", level=logging.WARNING)
    try:
        sys.exit(app(arguments, result_action="return_value") or 0)
    except RegardError as error:
        sys.exit(f"regard: {error}")
    except BrokenPipeError:
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
