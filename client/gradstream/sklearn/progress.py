"""A run shown while an estimator is fitted."""

from gradstream.run import Run


def show(run: Run) -> None:
    """Show a run to its end, as `gradstream watch` does: on a terminal as a picture, else as lines."""
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
