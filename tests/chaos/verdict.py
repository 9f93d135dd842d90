"""What has come of a round: what is not as it was promised, and how much of everything there was."""

from itertools import pairwise

from tests.chaos.comparison import differences
from tests.chaos.history import breaches
from tests.chaos.leftovers import complaints, lost_models, stray_files, stray_processes
from tests.chaos.references import References
from tests.chaos.scene import Scene
from tests.chaos.witnesses import contradictions

from gradstream import Checkpoint, Event, Job, JobState, JobWarning, Model, StateChange

_WENT_ON = {
    (JobState.RUNNING, JobState.RUNNING): "after the death of their worker",
    (JobState.RUNNING, JobState.QUEUED): "after the end of their server",
    (JobState.PAUSED, JobState.QUEUED): "after a pause",
}


def judge(scene: Scene, jobs: list[Job], models: list[Model], references: References) -> None:
    """Note whatever is not as it was promised."""
    for job in scene.jobs:
        for check in (breaches(job.log, job.answers), differences(job, references), contradictions(job)):
            for what in check:
                scene.find(f"{job}: {what}")
    datasets = {str(plan.table.selection["dataset"]) for plan in scene.plans if plan.table}
    for what in lost_models(scene.jobs, models):
        scene.find(what)
    for what in (*stray_processes(scene.target), *stray_files(scene.target.data_dir, jobs, models, datasets)):
        scene.find(what)
    for what in complaints(scene.target.log):
        scene.find(what)


def take_stock(scene: Scene) -> None:
    """Count what is in the logs."""
    for job in scene.jobs:
        if not job.log:
            continue
        states = [event.state for event in job.log if isinstance(event, StateChange)]
        scene.count(f"jobs: ended {states[-1] if states[-1].final else JobState.SUCCEEDED}")
        for change in pairwise(states):
            if change in _WENT_ON:
                scene.count(f"jobs: went on {_WENT_ON[change]}")
        scene.count("jobs: events", len(job.log))
        scene.count("jobs: checkpoints", _number_of(Checkpoint, job.log))
        scene.count("jobs: damaged checkpoints noticed", _number_of(JobWarning, job.log))
        scene.count("watchers: events seen", sum(len(watch.seen) for watch in job.watches))


def _number_of(kind: type[Event], log: list[Event]) -> int:
    return sum(isinstance(event, kind) for event in log)
