"""Curves in colours, for terminals that have them."""

from collections.abc import Sequence

from rich.text import Text

from gradstream.cli.overlay import Overlay


def coloured(chart: Overlay, colours: Sequence[str]) -> list[Text]:
    """The lines of a chart, each curve in its colour."""
    lines = []
    for i, line in enumerate(chart.lines):
        text = Text(line, no_wrap=True, overflow="ellipsis")
        for column, owner in enumerate(chart.owners[i].tolist() if i < len(chart.owners) else []):
            if owner >= 0:
                text.stylize(colours[owner], chart.margin + column, chart.margin + column + 1)
        lines.append(text)
    return lines
