"""Who calls, what he may do, and what is his."""

from dataclasses import dataclass
from enum import IntEnum


class Scope(IntEnum):
    """What a principal may do; each includes those before it."""

    READ = 1
    """Find, watch and take away what is his; ask his models."""
    TRAIN = 2
    """Make, change and delete what is his."""
    ADMIN = 3
    """The same with what is anybody's."""

    @property
    def word(self) -> str:
        """How people write it."""
        return self.name.lower()


@dataclass(frozen=True)
class Principal:
    """Who calls. Jobs, data sets and models belong to whoever made them, and for all others are not there."""

    name: str
    """Without a slash; empty for nobody."""
    scope: Scope

    @property
    def sees_all(self) -> bool:
        """Whether what belongs to others is there for him."""
        return self.scope is Scope.ADMIN

    def sees(self, owner: str) -> bool:
        """Whether what belongs to somebody is there for him."""
        return self.sees_all or owner == self.name

    @property
    def only(self) -> str | None:
        """Whose things alone are there for him; None for everybody's."""
        return None if self.sees_all else self.name

    # Two principals may call their models alike. So a model's name is kept together with its owner's, and who
    # sees all calls those of others OWNER/NAME, and those that belong to nobody /NAME.

    def key(self, model: str) -> str:
        """What a model is kept as that he calls so."""
        owner, slash, name = model.rpartition("/")
        if not self.name or (slash and self.sees_all):
            return model_key(owner, name)
        return model_key(self.name, model)

    def called(self, key: str) -> str:
        """What he calls a model that is kept so."""
        owner, _, name = key.rpartition("/")
        if owner == self.name:
            return name
        return f"{owner}/{name}" if self.name else key


UNRESTRICTED = Principal("", Scope.ADMIN)
"""The server itself, and everybody where callers are not told apart."""


def model_key(owner: str, name: str) -> str:
    """What a model of an owner is kept as."""
    return f"{owner}/{name}" if owner else name
