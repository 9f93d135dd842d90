"""A person's own table: a wrong column or row would train something else in silence."""

from pathlib import Path

import click
import pytest

from gradstream.cli.csv_table import read_table


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def test_columns_by_name(table: Path) -> None:
    table.write_text("a,y,b\n1,2,3\n4,5,6\n")
    read = read_table(str(table), ["y"])
    assert read.features.tolist() == [[1, 3], [4, 6]]
    assert read.targets.tolist() == [[2], [5]]
    assert (read.feature_names, read.target_names, read.left_out) == (["a", "b"], ["y"], [])


def test_several_targets_in_the_order_given(table: Path) -> None:
    table.write_text("a,b,c\n1,2,3\n4,5,6\n")
    assert read_table(str(table), ["c", "a"]).targets.tolist() == [[3, 1], [6, 4]]


@pytest.mark.parametrize(
    "text",
    ["a;b\n1;2\n3;4\n", "a\tb\n1\t2\n3\t4\n", '"a","b"\r\n"1","2"\r\n"3","4"\r\n', "\ufeffa,b\n1,2\n\n3,4"],
)
def test_forms_of_the_same_table(table: Path, text: str) -> None:
    table.write_bytes(text.encode())
    read = read_table(str(table), ["b"])
    assert (read.features.tolist(), read.targets.tolist()) == ([[1], [3]], [[2], [4]])


def test_columns_of_text_are_left_out_and_named(table: Path) -> None:
    table.write_text('day,a,y\n"Mon, 1",1,2\n"Tue, 2",3,4\n')
    read = read_table(str(table), ["y"])
    assert (read.feature_names, read.left_out) == (["a"], ["day"])
    assert read.features.tolist() == [[1], [3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a,y\n", "no rows"),
        ("1,2\n3,4\n", "has to name the columns"),
        ("a,a,y\n1,2,3\n", "column name 'a' twice"),
        ("a,,y\n1,2,3\n", "no name for column 2"),
        ("a,yy\n1,2\n", "no column 'y'; did you mean 'yy'? It has a, yy"),
        ("a,y\n1,2\n3\n", "line 3 of .* has 1 cell, but the header names 2"),
        ("a,y\n1,2\n3,4,5\n", "line 3 of .* has 3 cells"),
        (",a,y\n0,1,2\n", "no name for column 1; the index of a pandas table.* index=False"),
        ("a,y\n1,2\nx,4\n", "line 3, column 'a' of .*: 'x' is not a finite number.*--ignore a"),
        ("a,y\n1,2\n3,4\nx,4\n", "line 4, .*'x' is not a finite number, but 2 of 3 cells hold numbers"),
        ("a,b,y\nx,1,2\nx,3,4\n7,3,4\n", "line 4, .*'7' is a number, but 2 of 3 cells hold text"),
        ("a;y\n0,5;1\n1,5;2\n", "line 2, column 'a' of .*: '0,5' has a decimal comma.* such as 0.5"),
        ("a;y\n5;1\n1,5;2\n", "line 3, .* has a decimal comma"),
        ("a,b,y\n1,,\n3,4,\nNA,4,5\n", r"4 cells .*'a' \(1\), 'b' \(1\), 'y' \(2\); .* line 2"),
        ("a,y\n1_000,2\n3,4\n", "'1_000' is not a finite number"),
        ("a,y\n1,inf\n3,4\n", "line 2, column 'y' of .*: 'inf' is not a finite number"),
        ("a,y\n1,2\n3,\n", "1 cell of .* is empty .*in column 'y' .1.; the first is in line 3"),
        ("a,y\n1,nan\n3,4\n", "1 cell of .* not a finite number, in column 'y' .1.; the first is in line 2"),
        ("a,y\n1,u\n3,v\n", "column 'y' of .* holds text"),
        ("a,y\nu,1\nv,2\n", "no column of numbers beside"),
    ],
)
def test_what_is_wrong_is_named(table: Path, text: str, message: str) -> None:
    table.write_text(text)
    with pytest.raises(click.UsageError, match=message.replace("?", r"\?")):
        read_table(str(table), ["y"])


def test_a_target_has_to_be_named(table: Path) -> None:
    table.write_text("a,y\n1,2\n")
    with pytest.raises(click.UsageError, match="has a, y"):
        read_table(str(table), [])


def test_a_file_that_cannot_be_read(table: Path) -> None:
    with pytest.raises(click.UsageError, match="No such file"):
        read_table(str(table), ["y"])
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(click.UsageError, match="UTF-8"):
        read_table(str(table), ["y"])


def test_features_may_be_chosen_and_columns_left_out(table: Path) -> None:
    table.write_text("a,b,c,y\n1,2,,4\n5,6,x,8\n")
    read = read_table(str(table), ["y"], features=["b"])
    assert (read.feature_names, read.features.tolist(), read.left_out) == (["b"], [[2], [6]], [])
    assert read_table(str(table), ["y"], ignored=["c", "a"]).feature_names == ["b"]


@pytest.mark.parametrize(
    ("targets", "features", "ignored", "message"),
    [
        (["y", "y"], [], [], "--target y is given twice"),
        (["y"], ["d"], [], "no column 'd'"),
        (["y"], ["y"], [], "as --target and as --feature"),
        (["y"], ["a"], ["a"], "as --feature and as --ignore"),
        (["y"], ["c"], [], "column 'c' of .* holds text"),
    ],
)
def test_choices_that_contradict(
    table: Path, targets: list[str], features: list[str], ignored: list[str], message: str
) -> None:
    table.write_text("a,c,y\n1,u,3\n4,v,6\n")
    with pytest.raises(click.UsageError, match=message):
        read_table(str(table), targets, features, ignored)


def test_names_over_several_lines(table: Path) -> None:
    table.write_text('\ufeff"size\nin m2",y\n1,2\n3,\n')
    with pytest.raises(click.UsageError, match="first is in line 4"):
        read_table(str(table), ["y"])
    table.write_text('\ufeff"size\nin m2",y\n1,2\n3,4\n')
    assert read_table(str(table), ["y"]).feature_names == ["size in m2"]
