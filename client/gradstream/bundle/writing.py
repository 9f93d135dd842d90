"""Bundles to files."""

import io
import zipfile

from gradstream.bundle import description, readme, tensors
from gradstream.bundle.bundle import Bundle
from gradstream.bundle.reading import README

_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""The time of each file, so that the same bundle gives the same bytes."""


def archive(bundle: Bundle) -> bytes:
    """The zip archive of a bundle: not compressed, for parameters hardly can be."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as members:
        for name, content in files(bundle).items():
            info = zipfile.ZipInfo(name, _EARLIEST)
            info.create_system, info.external_attr = 3, 0o644 << 16  # the same on every system
            members.writestr(info, content)
    return file.getvalue()


def files(bundle: Bundle) -> dict[str, bytes]:
    """The files of a bundle by name."""
    return {
        README: readme.text(bundle).encode(),
        description.MEMBER: description.write(bundle).encode(),
        tensors.MEMBER: tensors.encode(bundle.parameters),
    }
