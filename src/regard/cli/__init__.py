"""The command line: one function a command, with the same words as the Python call.

Commands are parsed, and refused, before torch is imported.
"""

import io
import logging
import os
import sys
from collections.abc import Sequence

import cyclopts

from regard import __version__
from regard.cli.analyse import analyse
from regard.cli.caption import caption
from regard.cli.check import check
from regard.cli.demo import demo
from regard.cli.evaluate import evaluate
from regard.cli.export import export
from regard.cli.generate import generate
from regard.cli.image import image
from regard.cli.layers import layers
from regard.cli.models import models
from regard.cli.panoptic import panoptic
from regard.cli.plot import plot
from regard.cli.render import render
from regard.cli.run import run
from regard.cli.scramble import scramble, unscramble
from regard.cli.summarize import summarize
from regard.cli.terminal import NoticeHandler, complain
from regard.cli.video import video
from regard.cli.zoo import zoo
from regard.errors import RegardError

app = cyclopts.App(
    name="regard",
    help="See what a vision transformer looks at.",
    version=__version__,
    help_on_error=False,
    print_error=False,
    exit_on_error=False,
    default_parameter=cyclopts.Parameter(negative=""),
)
app.command(image, usage="Usage: regard image [OPTIONS] PHOTO...")
app.command(panoptic, usage="Usage: regard panoptic [OPTIONS] PHOTO...")
app.command(
    caption,
    usage="Usage: regard caption --model PTH --infos PKL [--features DIR | --cnn FILE] PHOTO...",
)
app.command(generate, usage="Usage: regard generate --parts N --model DIR [OPTIONS] PHOTO...")
app.command(video, usage="Usage: regard video --model MODEL [OPTIONS] CLIP...")
app.command(run, usage="Usage: regard run DATASET.json --model MODEL --out RUN [OPTIONS]")
app.command(summarize, usage="Usage: regard summarize RUN [OPTIONS]")
app.command(plot, usage="Usage: regard plot RUN KIND [OPTIONS]")
app.command(render, usage="Usage: regard render RUN [OPTIONS]")
app.command(analyse, usage="Usage: regard analyse RUN [OPTIONS]")
for command in (check, export, scramble, unscramble, layers, models, demo, evaluate, zoo):
    app.command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 if all is done, 1 if something failed, 2 for bad arguments."""
    logging.basicConfig(handlers=[NoticeHandler()], level=logging.WARNING)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show is told
            stream.reconfigure(errors="backslashreplace")
    try:
        code = app(arguments, result_action="return_value") or 0
        if sys.stdout is not None:
            sys.stdout.flush()
    except cyclopts.CycloptsError as error:
        complain(error)
        sys.exit(2)
    except RegardError as error:
        complain(error)
        sys.exit(1)
    except BrokenPipeError:
        # nobody reads any more; the interpreter's own last flush would say so once again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(code)
