"""What a round, or several, have done and found, for people."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

_SHOWN = 30


@dataclass
class Report:
    """Counts, and what is not as it was promised."""

    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        """Add another round's."""
        self.counts += other.counts
        self.findings += other.findings

    def __str__(self) -> str:
        return "\n".join((*self._counted(), *self._found()))

    def _counted(self) -> Iterable[str]:
        return (f"{times:9,}  {what}" for what, times in sorted(self.counts.items()))

    def _found(self) -> Iterable[str]:
        if not self.findings:
            return ("lost: nothing",)
        more = len(self.findings) - _SHOWN
        return (
            f"NOT AS PROMISED, {len(self.findings)}:",
            *self.findings[:_SHOWN],
            *([f"and {more} more"] if more > 0 else []),
        )
