"""Servers that a person calls often, with what it takes to call them: a TOML file in his configuration.

    [default]
    server = "train.example.com:50051"
    tls_ca = "ca.pem"

    [laptop]
    server = "unix:/run/user/1000/gradstream.sock"

The profile `default` holds where no server is named. Paths are relative to the file.
"""

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from gradstream.errors import InvalidArgumentError

DEFAULT = "default"


@dataclass(frozen=True)
class Profile:
    """A server, and how to call it."""

    server: str = ""
    tls: bool = False
    """Whether to speak TLS; a file of `tls_ca`, `tls_cert` or `tls_key` says so too."""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    token_file: str = ""


def profiles_path() -> Path:
    """Where the profiles are: in gradstream/config.toml of XDG_CONFIG_HOME, by default ~/.config."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "gradstream" / "config.toml"


def read_profile(name: str) -> Profile | None:
    """A profile; None when there is none of the name. Raises InvalidArgumentError for a wrong file."""
    path = profiles_path()
    try:
        found = tomllib.loads(path.read_text()).get(name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _wrong(f"cannot read the profiles in {path}: {error}") from error
    if found is None:
        return None
    allowed = {field.name: type(field.default) for field in fields(Profile)}
    if not isinstance(found, dict):
        raise _wrong(f"{path}: {name} is no table; a profile is one, such as [{name}]")
    for key, value in found.items():
        if key not in allowed:
            raise _wrong(f"{path}: profile {name} has {key!r}; there are {', '.join(allowed)}")
        if not isinstance(value, allowed[key]):
            kind = "true or false" if allowed[key] is bool else "a text"
            raise _wrong(f"{path}: {key} of profile {name} is {value!r}; it has to be {kind}")
    for key in found.keys() - {"server", "tls"}:
        found[key] = str(path.parent / Path(str(found[key])).expanduser())
    return Profile(**found)


def no_profile(name: str) -> InvalidArgumentError:
    """The error for a profile that was asked for and is not there."""
    return _wrong(f"there is no profile {name!r} in {profiles_path()}")


def _wrong(message: str) -> InvalidArgumentError:
    return InvalidArgumentError(message, code="INVALID_ARGUMENT", reason="INVALID_PROFILE")
