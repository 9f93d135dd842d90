"""How long jobs are kept that have ended."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from gradstream_server.jobs.errors import JobNotFound
from gradstream_server.jobs.store import JobStore

_logger = logging.getLogger(__name__)

_MOST_BETWEEN_S = 60.0
_AT_ONCE = 100


async def delete_outdated(store: JobStore, delete: Callable[[str], Awaitable[None]], keep_s: float) -> None:
    """Delete jobs that ended more than `keep_s` seconds ago, for as long as this runs."""
    while True:
        try:
            while outdated := await asyncio.to_thread(
                store.ended_before, datetime.now(UTC) - timedelta(seconds=keep_s), _AT_ONCE
            ):
                for job in outdated:
                    try:
                        await delete(job.id)
                    except JobNotFound:
                        continue  # Somebody else was faster.
                _logger.info("deleted jobs that ended long ago", extra={"jobs": len(outdated)})
        except Exception:
            # The disk may be full, or the database busy: they are deleted another time.
            _logger.exception("jobs that ended long ago could not be deleted")
        await asyncio.sleep(min(keep_s, _MOST_BETWEEN_S))
