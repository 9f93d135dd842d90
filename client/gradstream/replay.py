"""A job that is trained again, to see whether it comes to the same."""

from dataclasses import dataclass

from gradstream.events import Receipt
from gradstream.run import Run


@dataclass(frozen=True, slots=True, eq=False)
class ReplayResult:
    """What training a job again has come to."""

    original: Receipt
    """Of the job."""
    replayed: Receipt
    """Of the job that has trained the same again."""

    @property
    def same(self) -> bool:
        """Whether the parameters are the same, bit for bit."""
        return self.original.parameter_digest == self.replayed.parameter_digest

    @property
    def differences(self) -> dict[str, tuple[str, str]]:
        """What differs between the receipts and may be why, as (original, replayed) by name."""
        original, replayed = _circumstances(self.original), _circumstances(self.replayed)
        names = original | replayed
        pairs = {name: (original.get(name, "none"), replayed.get(name, "none")) for name in names}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """A job that is being trained again."""

    run: Run
    """The new job, to be watched as any other."""
    original: Receipt
    """The receipt of the job that is trained again."""

    def result(self) -> ReplayResult:
        """Wait for the end of the new job and compare. Raises JobEndedError when it has no result."""
        return ReplayResult(self.original, self.run.result().receipt)


def _circumstances(receipt: Receipt) -> dict[str, str]:
    return {
        "data": receipt.data_digest,
        "device": receipt.device,
        "threads": str(receipt.threads),
        **receipt.versions,
    }
