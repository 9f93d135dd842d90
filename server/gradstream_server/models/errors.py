"""What can go wrong with models."""


class CannotRender(Exception):
    """A model cannot be had in a format, here or at all; in words for people."""
