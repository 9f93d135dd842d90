"""What a client can ask for, written once for both clients."""

from collections.abc import Iterable
from operator import index
from uuid import UUID, uuid4

from google.protobuf.wrappers_pb2 import StringValue

from gradstream.convert import job_of, server_info_of, state_number, state_of, validation_of
from gradstream.convert_gradients import gradient_check_of
from gradstream.errors import FailedPreconditionError, InvalidArgumentError
from gradstream.events import Completed, Receipt
from gradstream.gradients import GradientCheck
from gradstream.job import Job, JobState
from gradstream.methods import (
    CANCEL_JOB,
    CHECK_GRADIENTS,
    CHECK_HEALTH,
    CREATE_JOB,
    DELETE_JOB,
    GET_JOB,
    GET_SERVER_INFO,
    LIST_JOBS,
    PAUSE_JOB,
    RESUME_JOB,
    VALIDATE_SPEC,
)
from gradstream.names import name_of
from gradstream.reader import Reader
from gradstream.server_info import Health, ServerInfo, Validation
from gradstream.session import Session
from gradstream.tensor import refused
from gradstream.v1.spec_pb2 import Spec
from gradstream.v1.system_service_pb2 import GetServerInfoRequest
from gradstream.v1.training_service_pb2 import (
    CancelJobRequest,
    CheckGradientsRequest,
    CreateJobRequest,
    DeleteJobRequest,
    GetJobRequest,
    ListJobsRequest,
    PauseJobRequest,
    ResumeJobRequest,
    TrainRequest,
    ValidateSpecRequest,
    WatchJobRequest,
)

_HEALTH = {1: Health.SERVING, 2: Health.NOT_SERVING}
PAGE_SIZE = 100


class Operations:
    """The calls of a client."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def train(
        self,
        spec: Spec,
        request_id: UUID | str | None,
        priority: int = 0,
        cancel_on_disconnect: bool = False,
        group: str = "",
        model_name: str = "",
    ) -> Reader:
        """Start a job or attach to it; a refusal is raised here."""
        request = TrainRequest(
            spec=spec,
            request_id=str(request_id or uuid4()),
            priority=_priority(priority),
            cancel_on_disconnect=cancel_on_disconnect,
            group=name_of("group", group),
            model_name=name_of("model_name", model_name),
        )
        reader = Reader(self._session, request)
        await reader.read()
        return reader

    async def replay(self, job: str, request_id: UUID | str | None) -> tuple[Reader, Receipt]:
        """Train again what a job has trained; its receipt is what to compare with."""
        message = await self._session.call(GET_JOB, GetJobRequest(job=job))
        if not state_of(message.state).final:
            raise FailedPreconditionError(
                f"job {job} has not ended, so there is nothing to compare with; watch it to its end first",
                code="FAILED_PRECONDITION",
                reason="JOB_NOT_ENDED",
            )
        if state_of(message.state) is not JobState.SUCCEEDED:
            how = "has failed" if state_of(message.state) is JobState.FAILED else "was cancelled"
            raise FailedPreconditionError(
                f"job {job} {how}, so there is nothing to compare with; only a job that has succeeded can be "
                "replayed",
                code="FAILED_PRECONDITION",
                reason="JOB_NOT_SUCCEEDED",
            )
        original = await self.result(job_of(message))
        spec = message.spec
        if spec.stopping.after_seconds:
            # How many epochs it was in that time, no clock would say again.
            spec.stopping.ClearField("after_seconds")
            spec.stopping.after_epochs = original.epochs
        return await self.train(spec, request_id), original.receipt

    async def result(self, job: Job) -> Completed:
        """What a job that has ended has led to. Raises JobEndedError for one without a result."""
        last = Reader(self._session, WatchJobRequest(job=job.id, after_sequence=job.last_sequence - 1))
        return await last.read_to_end()

    async def watch(self, job: str, after_sequence: int) -> Reader:
        """Attach to a job; a refusal is raised here."""
        reader = Reader(self._session, WatchJobRequest(job=job, after_sequence=after_sequence))
        if after_sequence > 0:
            # The next event may be long in coming, so the job is asked for instead of waiting for it.
            await self.get(job)
        else:
            await reader.read()
        return reader

    async def create(
        self,
        spec: Spec,
        request_id: UUID | str | None,
        priority: int = 0,
        group: str = "",
        model_name: str = "",
    ) -> Job:
        """Start a job."""
        request = CreateJobRequest(
            spec=spec,
            request_id=str(request_id or uuid4()),
            priority=_priority(priority),
            group=name_of("group", group),
            model_name=name_of("model_name", model_name),
        )
        return job_of(await self._session.call(CREATE_JOB, request))

    async def get(self, job: str) -> Job:
        """A job as it stands."""
        return job_of(await self._session.call(GET_JOB, GetJobRequest(job=job)))

    async def cancel(self, job: str) -> Job:
        """Ask a job to stop."""
        return job_of(await self._session.call(CANCEL_JOB, CancelJobRequest(job=job)))

    async def pause(self, job: str) -> Job:
        """Put a job aside."""
        return job_of(await self._session.call(PAUSE_JOB, PauseJobRequest(job=job)))

    async def resume(self, job: str) -> Job:
        """Let a job go on."""
        return job_of(await self._session.call(RESUME_JOB, ResumeJobRequest(job=job)))

    async def delete(self, job: str) -> None:
        """Delete a job."""
        await self._session.call(DELETE_JOB, DeleteJobRequest(job=job))

    async def page(
        self, states: Iterable[JobState | str], token: str, group: str = ""
    ) -> tuple[list[Job], str]:
        """A page of jobs, and where the next one begins; empty when there is none."""
        try:
            numbers = [state_number(state) for state in states]
        except ValueError as error:
            raise InvalidArgumentError(
                str(error), code="INVALID_ARGUMENT", reason="INVALID_REQUEST"
            ) from error
        request = ListJobsRequest(
            page_size=PAGE_SIZE, page_token=token, states=numbers, group=name_of("group", group)
        )
        answer = await self._session.call(LIST_JOBS, request)
        return [job_of(job) for job in answer.jobs], answer.next_page_token

    async def validate(self, spec: Spec) -> Validation:
        """What the server would make of a spec."""
        return validation_of(await self._session.call(VALIDATE_SPEC, ValidateSpecRequest(spec=spec)))

    async def check_gradients(self, spec: Spec) -> GradientCheck:
        """How far apart the gradients of the trainers are."""
        return gradient_check_of(await self._session.call(CHECK_GRADIENTS, CheckGradientsRequest(spec=spec)))

    async def server_info(self) -> ServerInfo:
        """What the server is."""
        return server_info_of(await self._session.call(GET_SERVER_INFO, GetServerInfoRequest()))

    async def health(self) -> Health:
        """Whether the server takes work."""
        answer = await self._session.call(CHECK_HEALTH, StringValue())
        return _HEALTH.get(answer.value, Health.UNKNOWN)


def _priority(value: object) -> int:
    """A priority that can be sent; which of these are allowed, the server says."""
    try:
        number = index(value)  # type: ignore[arg-type]  # that is what is tried
    except TypeError as error:
        raise refused("priority", f"must be a whole number, not {value!r}", "INVALID_REQUEST") from error
    if not -(2**31) <= number < 2**31:
        raise refused("priority", f"is {number}; it has to be from -100 to 100", "INVALID_REQUEST")
    return number
