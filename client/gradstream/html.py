"""HTML for notebooks: what a person sees who ends a cell with a value of ours.

It takes fonts and colours from the page, so that it is readable on light and dark ones, and runs no scripts.
All that comes from a server or a caller is escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape

ACCENT = "#2a8fbd"
FAINT = "opacity:.65"
_WIDTH = 640
_BAR_WIDTH = 280


def card(title: str, *parts: str) -> str:
    """A block: a title, which is text, and parts, which are HTML."""
    head = f'<div style="font-weight:600;margin-bottom:4px">{escape(title)}</div>'
    return f'<div style="max-width:{_WIDTH}px;overflow-x:auto">{head}{"".join(parts)}</div>'


def line(text: str) -> str:
    """A line of text."""
    return f'<div style="{FAINT}">{escape(text)}</div>' if text else ""


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Rows of texts: the first column to the left, the others to the right."""
    lines = [_row(head, "th")] if head else []
    lines += [_row(row, "td") for row in rows]
    return f'<table style="border-collapse:collapse;margin:4px 0">{"".join(lines)}</table>'


def bar(share: float, text: str) -> str:
    """How much of something is done, from 0 to 1."""
    percent = 100 * min(1.0, max(0.0, share))
    filled = f'<div style="width:{percent:.1f}%;height:100%;background:{ACCENT};border-radius:4px"></div>'
    frame = f"width:{_BAR_WIDTH}px;height:8px;border-radius:4px;background:rgba(128,128,128,.3)"
    outer = "display:flex;align-items:center;gap:10px;margin:4px 0"
    return f'<div style="{outer}"><div style="{frame}">{filled}</div><div>{escape(text)}</div></div>'


def _row(cells: Sequence[str], tag: str) -> str:
    sides = ["left", *["right"] * (len(cells) - 1)]
    return "<tr>{}</tr>".format(
        "".join(
            f'<{tag} style="padding:2px 12px 2px 0;text-align:{side}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=True)
        )
    )
