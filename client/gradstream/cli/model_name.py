"""Models as people name them: NAME for the latest, or NAME:VERSION."""

import click

LATEST = "latest"


def name_and_version(text: str) -> tuple[str, int | None]:
    """The name, and the version where one is given. Raises click.UsageError for what is no version."""
    name, colon, version = text.partition(":")
    if not colon or version == LATEST:
        return name, None
    if not (version.isascii() and version.isdecimal() and 1 <= int(version) < 1 << 31):
        raise click.UsageError(
            f"{text!r} names no model: give NAME for the latest, or NAME:VERSION with a whole number from 1"
        )
    return name, int(version)
