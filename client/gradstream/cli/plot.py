"""`gradstream plot`"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gradstream.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradstream.cli.history import History

_FORMATS = ("png", "svg", "pdf")
_COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red")
_MARKS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HEIGHTS = (16, 11, 6)
_WIDEST = 120


@click.command()
@click.argument("jobs", metavar="JOB...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="FILE",
              help="Write an image, PNG, SVG or PDF by the ending of its name, instead of drawing on the "
                   "terminal; - for stdout. Needs matplotlib: pip install 'gradstream[plot]'.")  # fmt: skip
@click.option(
    "--format", "format_", type=click.Choice(_FORMATS), help="Of the image.  [default: by its name]"
)
@click.option("--log/--linear", "logarithmic", default=None,
              help="Scale of the losses.  [default: --log where they differ widely]")  # fmt: skip
@options.patience_option
@options.server_option
def plot(
    *,
    jobs: tuple[str, ...],
    output: str | None,
    format_: str | None,
    logarithmic: bool | None,
    patience_s: float,
    server: str | None,
) -> None:
    """Draw the loss of each epoch of jobs, in one chart, as far as they have come.

    \b
      gradstream plot JOB
      gradstream plot JOB OTHER --linear
      gradstream plot JOB OTHER -o losses.svg
    """
    format_ = _image_format(output, format_)
    if output is not None:
        from gradstream.cli.image import require_matplotlib

        require_matplotlib()
    from gradstream.cli.connection import open_client
    from gradstream.cli.history import read_history

    with open_client(server, patience_s) as client:
        histories = [read_history(client, job) for job in dict.fromkeys(jobs)]
    for history in histories:
        if not len(history.drawn[0]):
            click.echo(f"nothing to draw of job {history.job.id}: {history.outcome}", err=True)
    histories = [history for history in histories if len(history.drawn[0])]
    if not histories:
        raise click.UsageError("there is nothing to draw")
    if output is None:
        _print(histories, logarithmic)
    else:
        _write(histories, output, format_, logarithmic)


def _image_format(output: str | None, format_: str | None) -> str:
    """The format of the image; empty for none. Raises click.UsageError where that cannot be told."""
    if output is None:
        if format_ is not None:
            raise click.UsageError("--format is about an image; name its file with -o")
        return ""
    ending = output.rpartition(".")[2].lower()
    if format_ is None and ending not in _FORMATS:
        raise click.UsageError(
            f"{output!r} does not tell what to write: let it end in .png, .svg or .pdf, or give --format"
        )
    return format_ or ending


def _write(histories: Sequence[History], output: str, format_: str, logarithmic: bool | None) -> None:
    import sys
    from pathlib import Path

    from gradstream.cli.image import draw_image

    image = draw_image(histories, format_, logarithmic)
    if output == "-":
        sys.stdout.buffer.write(image)
        return
    try:
        Path(output).write_bytes(image)
    except OSError as error:
        raise click.UsageError(f"cannot write {output}: {error.strerror}") from error


def _print(histories: Sequence[History], logarithmic: bool | None) -> None:
    """Each job in a colour of its own; where there are none, or not enough, with a letter of its own."""
    from rich.console import Console
    from rich.text import Text

    from gradstream.cli.coloured import coloured
    from gradstream.cli.history import curves
    from gradstream.cli.overlay import overlay

    drawn = curves(histories)
    if len(drawn) > len(_MARKS):
        raise click.UsageError(
            f"at most {len(_MARKS)} curves can be told apart on a terminal; an image shows more: -o FILE.png"
        )
    console = Console(highlight=False)
    colourless = console.no_color or console.color_system is None
    marked = len(drawn) > 1 and (colourless or len(drawn) > len(_COLOURS))
    room = console.height - len(drawn) - 3 if console.is_terminal else _HEIGHTS[0]
    chart = overlay(
        [(curve.epochs, curve.losses) for curve in drawn],
        min(console.width, _WIDEST),
        next((height for height in _HEIGHTS if height <= room), _HEIGHTS[-1]),
        logarithmic,
        _MARKS if marked else None,
    )
    colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(drawn))]
    for text in coloured(chart, colours):
        console.print(text)
    for i, curve in enumerate(drawn):
        mark = f"{_MARKS[i]} " if marked else "━━ "
        console.print(Text.assemble((mark, colours[i]), curve.legend), soft_wrap=True)
