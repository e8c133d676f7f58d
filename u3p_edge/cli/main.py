"""`u3p-edge`: one program, one file a command. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import errno
import logging
import os
import sys
import traceback
import warnings
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from u3p_edge import __version__
from u3p_edge.cli.bench import bench
from u3p_edge.cli.command import Command
from u3p_edge.cli.data import data_app
from u3p_edge.cli.device import device_app
from u3p_edge.cli.export import ExportCommand, export
from u3p_edge.cli.gate import gate
from u3p_edge.cli.help import help_of
from u3p_edge.cli.history import history
from u3p_edge.cli.import_checkpoint import import_checkpoint
from u3p_edge.cli.inspect import inspect
from u3p_edge.cli.predict import predict
from u3p_edge.cli.publish import publish
from u3p_edge.cli.recipes import recipes_app
from u3p_edge.cli.rewrite import rewrite
from u3p_edge.cli.terminal import open_stderr, prepare_streams
from u3p_edge.cli.train import train
from u3p_edge.cli.verify import verify
from u3p_edge.errors import U3pEdgeError, require_packages
from u3p_edge.text import to_terminal

VERBOSE = "U3P_EDGE_VERBOSE"
"""Set to anything, the libraries' own messages are shown."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it: 128 + SIGINT."""

CLOSED = 141
"""Exit code where nobody reads the output any more, as shells give it: 128 + SIGPIPE."""

BUG = 70
"""Exit code of an error that nobody expected (EX_SOFTWARE of sysexits.h): never 1, which means that a check failed."""

EXIT_CODES = (
    "Exit codes: 0 done; 1 a verification or the gate failed, or some of several files; 2 bad input; 3 results that cannot be "
    "compared; 4 undecided; 70 a bug of this program; 130 interrupted."
)

MACHINE = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG)
)
"""What the system says when the disk or the rights fall short; wherever it comes from, it is no bug of a program."""


class Program(TyperGroup):
    """The group of all commands: user mistakes end in one message and their exit code, a bug keeps its traceback.

    Caught here because typer itself ends the program on Ctrl-C, without a word.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with require_packages("this command"):
                return super().invoke(ctx)
        except U3pEdgeError as error:
            _end(str(error), error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has enough of it
                raise SystemExit(CLOSED) from None
            if error.errno not in MACHINE:
                _bug()
            where = f"{error.filename}: " if error.filename else ""
            _end(f"{where}{error.strerror}", U3pEdgeError.exit_code)
        except MemoryError as error:
            # NumPy's says how much was wanted, and of what shape; Python's own says nothing.
            wanted = f": {error}" if str(error) else ""
            _end(
                f"there is not enough memory for {ctx.invoked_subcommand}{wanted}. Use fewer or smaller images, "
                "a smaller --size, or a machine with more memory.",
                U3pEdgeError.exit_code,
            )
        except KeyboardInterrupt:
            _end("interrupted; the same command goes on where it was, or begins again", INTERRUPTED)
        except Exception as error:  # whatever is left is a bug, and typer's own exceptions
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort):  # how typer ends a program
                raise
            _bug()


def _bug() -> NoReturn:
    for line in traceback.format_exc().splitlines():
        print(to_terminal(line), file=sys.stderr)
    _end("this is a bug of u3p-edge; please report it with the lines above", BUG)


def _end(message: str, code: int) -> NoReturn:
    # A message names files, layers and classes as strangers called them.
    print(f"u3p-edge: {to_terminal(message)}", file=sys.stderr)
    raise SystemExit(code) from None


app = typer.Typer(
    name="u3p-edge",
    cls=Program,
    rich_markup_mode=None,  # rich's tables cut option names on a terminal of 80 columns
    help="UNet 3+ on small devices: train, quantize to int8, export to TFLite and ONNX, and prove what it cost.\n\n"
    "Start with `u3p-edge export --int8`: it needs no data and no model of yours.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=ExportCommand, help=help_of(export))(export)
app.add_typer(recipes_app, name="recipes")
app.command(cls=Command, help=help_of(rewrite))(rewrite)
app.command(cls=Command, help=help_of(train))(train)
app.command("import", cls=Command, help=help_of(import_checkpoint))(import_checkpoint)
app.command(cls=Command, help=help_of(predict))(predict)
app.command(cls=Command, help=help_of(bench))(bench)
app.command(cls=Command, help=help_of(gate))(gate)
app.command(cls=Command, help=help_of(history))(history)
app.command(cls=Command, help=help_of(verify))(verify)
app.command(cls=Command, help=help_of(publish))(publish)
app.command(cls=Command, help=help_of(inspect))(inspect)
app.add_typer(data_app, name="data")
app.add_typer(device_app, name="device")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"u3p-edge {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Run the command line."""
    prepare_streams()
    _quiet()
    app()


def _quiet() -> None:
    """Keep what TensorFlow and LiteRT print at start-up from the user, and GPUs from commands that do not train."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if sys.argv[1:2] == ["train"]:
        # All of a GPU's memory is taken otherwise.
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    else:
        # Only training gains by a GPU; what other commands verify and time are files that run on a CPU.
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    for library in ("highdicom", "pydicom"):
        # What they log may quote a patient's data.
        logging.getLogger(library).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module="pydicom|highdicom")
    if os.environ.get(VERBOSE):
        return
    warnings.simplefilter("ignore")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of its font cache
    # Their C++ parts write to file descriptor 2 itself, before any Python setting is read.
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
    sys.stderr = open_stderr(stderr)


if __name__ == "__main__":
    main()
