"""A person's own table on the command line: uploaded if it is new, columns by name, and trained on."""

import json
import re
from pathlib import Path

import pytest
from tests.command import gradstream
from tests.server import RunningServer

HOUSES = "rooms,city,year,price\n2,Rome,1990,3\n3,Oslo,,5\n4,Rome,2001,4.5\n1,Bonn,1980,2\n"


@pytest.fixture
def houses(tmp_path: Path) -> str:
    path = tmp_path / "houses.csv"
    path.write_text(HOUSES)
    return str(path)


def test_kinds_and_rows_without_a_value(server: RunningServer, houses: str) -> None:
    """Whoever has names and gaps in a table would have to encode and fill it himself."""
    done = gradstream(
        "train", "--data", houses, "--target", "price", "--one-hot", "city", "--nulls", "mean",
        "--standardize", "--predict", "3,2000,Rome", "--plain", server=server.address,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("n_samples: 4, n_features: 5\n")
    names = re.findall(r"^  (\S+) ", done.stdout.partition("own units:")[2], re.MULTILINE)
    assert names == ["rooms", "year", "city=Bonn", "city=Oslo", "city=Rome", "bias"]
    assert "f(3, 2000, 0, 0, 1) = " in done.stdout
    assert done.stderr == ""


def test_what_is_left_out_is_said(server: RunningServer, houses: str) -> None:
    done = gradstream(
        "train", "--data", houses, "--target", "price", "--nulls", "drop", "--standardize", "--plain",
        server=server.address,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "left out, for they hold no numbers: city\n"
    assert done.stdout.startswith("n_samples: 3, n_features: 2\n")


def test_the_same_table_by_file_by_digest_and_from_stdin(server: RunningServer, houses: str) -> None:
    """A table would be uploaded again and again, or its results depend on how it came."""
    digest = json.loads(gradstream("data", "put", houses, "--format", "json", server=server.address).stdout)
    common = ("--target", "price", "--feature", "rooms", "--format", "json")

    def parameters(data: str, stdin: str | None = None) -> object:
        done = gradstream("train", "--data", data, *common, server=server.address, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])["parameters"]

    by_file = parameters(houses)
    assert by_file == parameters(digest["digest"][:8]) == parameters("-", stdin=HOUSES)
    listed = gradstream("data", "ls", "--format", "json", server=server.address).stdout.splitlines()
    assert [json.loads(line)["digest"] for line in listed].count(digest["digest"]) == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--target", "price"], "--feature: column 'year' has no value in 1 of 4 rows, first in row 2"),
        (["--target", "city"], "--target: column 'city' is text: row 1 holds 'Rome', which is no number"),
        (["--target", "price", "--feature", "city"], "row 1 holds 'Rome', which is no number; name it in"),
        (["--target", "price", "--one-hot", "town"], "--one-hot is 'town', which is no column; there"),
        (
            ["--target", "price", "--one-hot", "city", "--ignore", "year", "--predict", "2,Rom"],
            "there is Rome",
        ),
        (["--target", "price", "--feature", "rooms", "--ignore", "rooms"], "is both --feature and --ignore"),
        (["--target", "price", "--feature", "rooms", "--predict", "two"], "give a number for each feature"),
        (["--target", "price", "--one-hot", "city", "--max-categories", "2"], "has 3 different values"),
    ],
)
def test_what_is_wrong_is_said(server: RunningServer, houses: str, args: list[str], says: str) -> None:
    done = gradstream("train", "--data", houses, *args, server=server.address)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_a_table_that_is_none_is_told_by_its_file_and_row(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "ragged.csv"
    path.write_text("a,b\n1,2\n3\n")
    done = gradstream("train", "--data", str(path), "--target", "b", server=server.address)
    assert done.returncode == 2
    assert f"Error: {path}: row 2 has 1 value, the header has 2: '3'" in done.stderr
