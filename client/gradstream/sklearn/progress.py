"""A run shown while an estimator is fitted."""

from gradstream.notebook import follow, is_notebook
from gradstream.run import Run


def show(run: Run) -> None:
    """Show a run to its end: in a notebook as a picture, and else as `gradstream watch` does. Raises what
    ends it early."""
    if is_notebook():
        follow(run, "interrupted: the job is cancelled")
        return
    from gradstream.cli.view import choose_view

    view = choose_view(
        run,
        None,
        replayed=0,
        format_="text",
        plain=False,
        every=None,
        again=f"gradstream watch {run.job}",
        resume=f"gradstream resume {run.job}",
    )
    with view:
        for event in run.events(heartbeats=True):
            view.show(event)
