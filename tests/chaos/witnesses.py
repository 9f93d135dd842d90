"""Whether everybody who has watched a job has seen what its log says, as far as they watched."""

from collections.abc import Iterator

from tests.chaos.fingerprints import fingerprint
from tests.chaos.tracked import SAW_THE_END, STILL_WATCHES, TOLD_DELETED, TrackedJob, Watch


def contradictions(job: TrackedJob) -> Iterator[str]:
    """What watchers have seen that the log does not say."""
    log = [(event.sequence, fingerprint(event)) for event in job.log]
    for watch in job.watches:
        said = log[watch.after : watch.after + len(watch.seen)]
        if watch.seen != said:
            yield f"{_who(watch)} has seen {_first_difference(watch.seen, said)}"
        if watch.end == STILL_WATCHES or (watch.end == SAW_THE_END and watch.sequence != len(log)):
            yield f"{_who(watch)} stands at {watch.sequence}, the log has {len(log)} events"
        if watch.end == TOLD_DELETED and not job.being_deleted:
            yield f"{_who(watch)} {watch.end}"


def _who(watch: Watch) -> str:
    return f"a watcher by {watch.way} after {watch.after}, who {watch.end},"


def _first_difference(seen: list[tuple[int, bytes]], said: list[tuple[int, bytes]]) -> str:
    for one, other in zip(seen, said, strict=False):
        if one != other:
            what = "another event" if one[0] == other[0] else f"event {one[0]}"
            return f"{what} where the log has {other[0]}"
    return f"{len(seen)} events where the log has {len(said)}"
