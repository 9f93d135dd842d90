"""Structured logs on stderr: one event a line, with its facts as key=value or as JSON."""

import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

LogFormat = Literal["text", "json"]

# What every record has; all else was given as `extra`.
_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str, log_format: LogFormat) -> None:
    """Send the logs of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(log_format))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Alembic tells of every start, also of those with nothing to migrate.
    logging.getLogger("alembic").setLevel(logging.WARNING)


class AuditLogError(Exception):
    """The audit log cannot be written; the text says why."""


def configure_audit(file: Path | None) -> None:
    """Send the lines of the audit log to a file, or to stderr, as they are and whatever the level of logs.

    Raises:
        AuditLogError: the file cannot be written.
    """
    try:
        handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)
    except OSError as error:
        raise AuditLogError(f"cannot write the audit log {file}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter("%(message)s"))
    audit = logging.getLogger("gradstream.audit")
    audit.handlers = [handler]
    audit.propagate = False
    audit.setLevel(logging.INFO)


class _Formatter(logging.Formatter):
    def __init__(self, log_format: LogFormat) -> None:
        super().__init__()
        self._json = log_format == "json"

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        trace = self.formatException(record.exc_info) if record.exc_info else None
        if self._json:
            return json.dumps(facts | ({"exception": trace} if trace else {}), default=str)
        line = " ".join(f"{name}={_quoted(value)}" for name, value in facts.items())
        return f"{line}\n{trace}" if trace else line


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and not set(text) & set(' "=\n') else json.dumps(text, ensure_ascii=False)
