"""How the errors of bundles, and of rows that are to be predicted, are told."""

import difflib
from collections.abc import Iterable

from gradstream.errors import BundleError, InvalidArgumentError, Violation

SHOWN = 10
"""Names that are told at most."""
_LONGEST = 200
"""Characters of a name or value that are looked at, and told."""


def damaged(where: str, what: str) -> BundleError:
    """Something in a bundle is not what it has to be; `where` is a member, or a field of model.json."""
    return BundleError(f"{where} {what}", reason="BUNDLE_DAMAGED")


def refused(column: str | None, what: str) -> InvalidArgumentError:
    """Rows that cannot be predicted, by a column of them or as a whole."""
    field = "rows" if column is None else f"rows.{column}"
    return InvalidArgumentError(
        f"rows: {what}",
        code="INVALID_ARGUMENT",
        reason="INVALID_ROWS",
        violations=[Violation(field, what)],
    )


def listed(names: Iterable[object]) -> str:
    """Names for people, the first few of many."""
    shown = [repr(name) if isinstance(name, str) else str(name) for name in names]
    more = f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else ""
    return ", ".join(shown[:SHOWN]) + more


def shown(value: object) -> str:
    """A value for people, the beginning of a long one."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]!r}..."
    return repr(value)


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at the name that may have been meant; empty when none is near."""
    there, name = list(names)[:1000], name[:_LONGEST]
    near = [other for other in there if other.lower() == name.lower()]
    near = near or difflib.get_close_matches(name, there, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
