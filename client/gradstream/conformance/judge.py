"""Runs a client against a case, and compares what it tells with what the recording holds.

The client is a command. It gets the server's address in GRADSTREAM_SERVER, trains whatever it likes, and
prints a JSON object a line for what it sees, as `gradstream train --format json` does:

    {"event": "epoch_update", "epoch": 1, "loss": 30.0}     for each epoch, in order
    {"event": "completed"}                                  at the end, or
    {"event": "state_change", "state": "FAILED"}            or CANCELLED

Further fields, and other events, are passed over.
"""

import asyncio
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence

from gradstream.conformance.cases import Case
from gradstream.conformance.recording import Recording
from gradstream.conformance.server import playing
from gradstream.job import JobState

_LOSS_TOLERANCE = 1e-12
_MOST_SHOWN = 400


async def judge(case: Case, command: Sequence[str], timeout_s: float) -> str:
    """What is wrong with how a client follows a case; empty when nothing is.

    Raises:
        OSError: the command cannot be started.
    """
    recording = Recording.named(case.recording)
    async with playing(case, recording) as (address, job):
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "GRADSTREAM_SERVER": address},
        )
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
            return f"it has not ended within {timeout_s:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if len(set(job.request_ids)) > 1:
        return "it has sent Train with several request ids, so there would be several jobs"
    if len(job.request_ids) > 1 and not job.request_ids[0]:
        return "it has sent Train again without a request id, so there would be several jobs"
    if fault := "; ".join(faults(out.decode(errors="replace"), recording)):
        said = err.decode(errors="replace").strip()[-_MOST_SHOWN:]
        return fault + (f"; on stderr: {said}" if said else "")
    return ""


def faults(out: str, recording: Recording) -> Iterator[str]:
    """What of the lines that a client has printed is not as it was recorded."""
    told: list[Mapping[str, object]] = []
    for line in out.splitlines():
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            yield f"it has printed a line that is no JSON object: {line[:_MOST_SHOWN]!r}"
            return
        told.append(found)
    updates = [each for each in told if each.get("event") == "epoch_update"]
    yield from _curve_faults([(each.get("epoch"), each.get("loss")) for each in updates], recording.losses)
    outcomes = [outcome for each in told if (outcome := _outcome(each))]
    if outcomes != [recording.state]:
        said = " and ".join(outcomes) or "nothing"
        yield f"it has told {said} as the end of the job, which is {recording.state}"


def _curve_faults(told: Sequence[tuple[object, object]], losses: Mapping[int, float]) -> Iterator[str]:
    expected = list(losses.items())
    for number, (have, want) in enumerate(zip(told, expected, strict=False)):
        if have[0] != want[0]:
            behind = f"behind epoch {told[number - 1][0]}" if number else "first"
            yield f"it has told epoch {have[0]} {behind}, where {want[0]} comes"
            return
        if not isinstance(have[1], int | float) or not math.isclose(
            have[1], want[1], rel_tol=_LOSS_TOLERANCE
        ):
            yield f"it has told loss {have[1]} of epoch {want[0]}, which has {want[1]}"
            return
    if len(told) != len(expected):
        yield f"it has told {len(told)} epochs of {len(expected)}"


def _outcome(told: Mapping[str, object]) -> str:
    if told.get("event") == "completed":
        return JobState.SUCCEEDED
    ends = told.get("event") == "state_change" and told.get("state") in ("FAILED", "CANCELLED")
    return str(told["state"]) if ends else ""
