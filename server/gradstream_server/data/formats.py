"""Which kinds of files are tables, and how their names tell. Readers are imported when they are used."""

from dataclasses import dataclass
from pathlib import PurePath


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    name: str
    """For people."""
    suffixes: tuple[str, ...]
    reader: str
    """Where its reader is, see `readers.py`: "module:attribute"."""
    magic: bytes = b""
    """What every file of this kind begins with; empty for text."""
    compressible: bool = True
    """Whether it comes compressed as a whole, too, and is then read from front to back."""


@dataclass(frozen=True)
class Compression:
    """A way in which a whole file is compressed."""

    name: str
    suffix: str
    magic: bytes


_DATA = "gradstream_server.data"
FORMATS = (
    Format("a CSV file", (".csv",), f"{_DATA}.delimited:read_csv"),
    Format("a TSV file", (".tsv",), f"{_DATA}.delimited:read_tsv"),
    Format("a Parquet file", (".parquet",), f"{_DATA}.arrow:ParquetReader", b"PAR1", compressible=False),
    Format(
        "an Arrow IPC file",
        (".arrow", ".feather"),
        f"{_DATA}.arrow:ArrowFileReader",
        b"ARROW1",
        compressible=False,
    ),
    Format("an Arrow IPC stream", (".arrows",), f"{_DATA}.arrow:ArrowStreamReader", b"\xff\xff\xff\xff"),
    Format("a NumPy array", (".npy",), f"{_DATA}.arrays:ArrayReader", b"\x93NUMPY"),
    Format("a NumPy archive", (".npz",), f"{_DATA}.arrays:ArchiveReader", b"PK\x03\x04", compressible=False),
)
STRANGERS = (
    (rb"PK\x03\x04", "a ZIP archive, as workbooks of Excel and NumPy archives are"),
    (rb"\xd0\xcf\x11\xe0", "a workbook of an old Excel"),
    (rb"\xff\xfe|\xfe\xff", "text in UTF-16, not UTF-8"),
    (rb'\s*(?:\{\s*"|\[\s*[\[{])', "JSON"),
    (rb"(?i:\s*<(?:!doctype|html|\?xml))", "a web page or XML"),
    (rb"%PDF", "a PDF document"),
    (rb"\x89HDF", "an HDF5 file"),
)
"""What files of other kinds begin with, as regular expressions: they come under the names of ours."""
COMPRESSIONS = (
    Compression("gzip", ".gz", b"\x1f\x8b"),
    Compression("zstd", ".zst", b"\x28\xb5\x2f\xfd"),
)


def known_suffixes() -> list[str]:
    """All endings of names that can be read."""
    plain = [suffix for each in FORMATS for suffix in each.suffixes]
    compressible = [suffix for each in FORMATS if each.compressible for suffix in each.suffixes]
    return plain + [suffix + each.suffix for suffix in compressible for each in COMPRESSIONS]


def format_of(name: str) -> tuple[Format, Compression | None] | None:
    """The format that a name says, and how it is compressed; None when it says none."""
    lower = name.lower()
    compression = next((each for each in COMPRESSIONS if lower.endswith(each.suffix)), None)
    suffix = PurePath(lower.removesuffix(compression.suffix) if compression else lower).suffix
    for each in FORMATS:
        if suffix in each.suffixes and (each.compressible or not compression):
            return each, compression
    return None
