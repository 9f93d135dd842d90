"""The `gradstream` command."""


def main() -> None:
    """Run the command given on the command line."""
    from gradstream.cli.app import gradstream

    gradstream(prog_name="gradstream")
