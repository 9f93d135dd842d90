"""Spec files: what is read of them, what is said of those that are wrong, and how values are written."""

import tomllib
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradstream.cli.saved_spec import require_writable, toml
from gradstream.cli.spec_file import SpecFile, read_spec_file, training_options
from gradstream.cli.train import train
from gradstream.cli.values import initial_parameters
from gradstream.spec import SpecOptions

# What a table in a request needs; the command line has --data and its columns for it.
NOT_ON_THE_COMMAND_LINE = {
    "initial_parameters", "predict_rows", "feature_names", "target_names", "dataset", "target_columns",
    "feature_columns", "validation",
}  # fmt: skip


def read(tmp_path: Path, text: str | bytes) -> SpecFile:
    path = tmp_path / "run.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_spec_file(path, train)


def test_every_option_of_training_has_a_key() -> None:
    """A run with an option that has none could not be repeated."""
    names = {option.name for _, option in training_options(train)}
    assert SpecOptions.__annotations__.keys() - names == NOT_ON_THE_COMMAND_LINE
    assert names.isdisjoint({"server", "detach", "request_id", "priority", "group", "format_"})


def test_a_file_is_read(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        'trainer = "module"\nlearning-rate = 1\nepochs = 20\nshuffle = false\nmax_memory = "512M"\n'
        'predict = [5, "6", [1.5, "Kiel"]]\n[init]\nweight = [1, 2.5]\nbias = 0\n'
        '[set]\noptimizer.betas = [0.9, 0.5]\nmodel = { activation = "tanh" }\n'
        '[data]\nfile = "houses.csv"\ntarget = "price"\none_hot = ["city", "street"]\nnulls = "mean"\n',
    )
    assert found.digest is None
    assert found.options == {
        "trainer": "module", "learning_rate": 1, "epochs": 20, "shuffle": False, "max_memory_bytes": "512M",
        "predict": ["5", "6", "1.5,Kiel"], "initial": ["weight=1,2.5", "bias=0"],
        "data": str(tmp_path / "houses.csv"), "targets": ["price"], "one_hot": ["city", "street"],
        "nulls": "mean", "part_options": ["optimizer.betas=[0.9, 0.5]", 'model.activation="tanh"'],
    }  # fmt: skip


def test_a_digest_is_a_table_of_the_server(tmp_path: Path) -> None:
    assert read(tmp_path, '[data]\ndigest = "abc123"').options == {"data": "abc123"}
    both = read(tmp_path, '[data]\ndigest = "abc123"\nfile = "/t.csv"')
    assert both == SpecFile({"data": "/t.csv"}, "abc123")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("set = 3", "set must be a table: write [set] on a line, below it optimizer.momentum = ..."),
        ("[set]\noptimizer = 3", "set must be a table"),
        (
            "[set]\noptimizer.eps = 1979-05-27",
            "set.optimizer.eps must be a number, a text or a list, not 1979-05-27",
        ),
        ("epohcs = 3", "'epohcs' is no key; did you mean 'epochs'?"),
        ('target = "y"', "'target' is no key; did you mean 'target' in [data]?"),
        ("[data]\nepochs = 3", "'epochs' is no key of [data]; did you mean 'epochs' at the top of the file?"),
        ('[data]\ntargt = "y"', "'targt' is no key of [data]; did you mean 'target'?"),
        ("[dta]\n", "'dta' is no key; did you mean 'data'?"),
        ("[data]\nxyz = 1", "'xyz' is no key of [data]; there are file, target, feature, ignore, one_hot,"),
        ('epochs = "many"', "epochs must be a whole number, not 'many'"),
        ("epochs = 3.5", "epochs must be a whole number, not 3.5"),
        ("epochs = true", "epochs must be a whole number, not True"),
        ('learning_rate = "0.1"', "learning_rate must be a number, not '0.1'"),
        ("standardize = 1", "standardize must be true or false, not 1"),
        ("trainer = 3", "trainer must be a text, not 3"),
        ("dtype = 'float16'", "dtype must be float32 or float64, not 'float16'"),
        ("max_memory = [1]", "max_memory must be a text, not [1]"),
        ("predict = [[]]", "predict must be a list of rows"),
        ("init = 3", "init must be a table"),
        ("[init]\nweight = 'a'", "init.weight must be a number or a list of numbers, not 'a'"),
        ("[init]\nweight = []", "init.weight must be a number or a list of numbers, not []"),
        ("data = 'houses.csv'", "data must be a table: write [data] on a line, and below it file = ..."),
        ("[data]\none_hot = [1]", "data.one_hot must be a text, not 1"),
        ("[data]\nnulls = 'skip'", "data.nulls must be error or drop or mean, not 'skip'"),
        ("[data]\ndigest = 3", "data.digest must be a text, not 3"),
        ("batch-size = 1\nbatch_size = 2", "batch_size is given twice"),
        ("epochs 3", "run.toml is no TOML: "),
        (b"trainer = '\xff'", "run.toml is no spec file: it is not text in UTF-8"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, text: str | bytes, says: str) -> None:
    """A key that is taken for nothing would train something else than the file says."""
    with pytest.raises(click.UsageError) as refused:
        read(tmp_path, text)
    assert says in refused.value.message
    assert str(tmp_path / "run.toml") in refused.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match=r"cannot read .*none\.toml: No such file or directory"):
        read_spec_file(tmp_path / "none.toml", train)


texts = st.text(st.characters(codec="utf-8"))
numbers = st.floats(allow_nan=False) | st.integers(-(2**63), 2**63 - 1) | st.booleans()


@given(st.recursive(texts | numbers, st.lists, max_leaves=20))
def test_what_is_written_is_read_again(value: object) -> None:
    """A name with a quote or a line break would break the file, and a rounded number the run."""
    assert tomllib.loads(f"value = {toml(value)}") == {"value": value}  # type: ignore[arg-type]  # it is one


def test_starts_keep_their_shape() -> None:
    def parsed(text: str) -> object:
        return initial_parameters(click.Context(train), train.params[0], (text,))["w"]

    assert parsed("w=1") == 1.0
    assert parsed("w=1,2") == (1.0, 2.0)
    assert parsed("w=1,2;3,4") == ((1.0, 2.0), (3.0, 4.0))
    assert parsed("w=1,2;") == ((1.0, 2.0),)
    for wrong in ("w=;", "w=1;a", "w=", "w"):
        with pytest.raises(click.BadParameter):
            parsed(wrong)


def test_where_nothing_can_be_written_is_known_before(tmp_path: Path) -> None:
    """The job would run, and the file to repeat it by would be missing."""
    require_writable(tmp_path / "run.toml")
    with pytest.raises(click.UsageError, match="it is a folder"):
        require_writable(tmp_path)
    with pytest.raises(click.UsageError, match="there is no folder"):
        require_writable(tmp_path / "none" / "run.toml")
