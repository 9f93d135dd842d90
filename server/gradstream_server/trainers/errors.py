"""What a trainer says when it cannot."""


class CannotTrain(Exception):
    """A problem that shows only where it is trained to be one that cannot be; in words for people."""
