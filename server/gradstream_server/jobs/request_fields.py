"""What a request may say of a job beside its spec."""

import re
import uuid

from gradstream_server.jobs.errors import InvalidRequest, Violation

_MAX_PRIORITY = 100
_MAX_NAME = 64
_NAME = re.compile(f"[a-zA-Z0-9_.-]{{0,{_MAX_NAME}}}")


def check_priority(priority: int) -> None:
    """Refuse a priority that is out of range, with InvalidRequest."""
    if not -_MAX_PRIORITY <= priority <= _MAX_PRIORITY:
        what = f"is {priority}; it has to be from -{_MAX_PRIORITY} to {_MAX_PRIORITY}"
        raise InvalidRequest([Violation("priority", what)])


def check_name(field: str, name: str) -> None:
    """Refuse what is no name of a group or of a model, with InvalidRequest; an empty one is none."""
    if _NAME.fullmatch(name):
        return
    what = f"has {len(name)} characters" if len(name) > _MAX_NAME else f"is {name!r}"
    raise InvalidRequest(
        [Violation(field, f"{what}; it has to be at most {_MAX_NAME} letters, digits, -, _ and .")]
    )


def checked_request_id(request_id: str) -> str:
    """The request id as it is kept; a new one for an empty one. InvalidRequest for one that is none."""
    try:
        parsed = uuid.UUID(request_id) if request_id else uuid.uuid4()
    except ValueError:
        parsed = None
    if parsed is None or parsed.version != 4:
        what = f"is {request_id!r}; it has to be a UUID of version 4, such as {uuid.uuid4()}"
        raise InvalidRequest([Violation("request_id", what)])
    return str(parsed)
