"""Names of groups and models, as they are sent."""

from gradstream.tensor import refused


def name_of(field: str, value: object) -> str:
    """A name that can be sent; which of these are allowed, the server says.

    Raises InvalidArgumentError for what is no text.
    """
    try:
        if not isinstance(value, str):
            raise TypeError
        value.encode()
    except (TypeError, UnicodeError) as error:
        raise refused(field, f"must be a text, not {value!r}", "INVALID_REQUEST") from error
    return value
