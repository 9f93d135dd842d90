"""Who makes the call that runs here, whether he may, and the line that tells of it.

Every method of ours is entered through `enter`; without that, `caller` fails.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

import grpc
from google.rpc import code_pb2

from gradstream_server.access.principal import UNRESTRICTED, Principal, Scope
from gradstream_server.jobs.errors import OutOfScope, RequestError, Unauthenticated
from gradstream_server.rpc.authentication import Authentication, Identify
from gradstream_server.rpc.status import request_status

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_audit = logging.getLogger("gradstream.audit")

_LOOK_AGAIN_S = 1.0
"""How long a stream goes on at most once its caller is let in no more, if there is something to send."""

_TRAINING, _DATASETS = "/gradstream.v1.TrainingService/", "/gradstream.v1.DatasetService/"
_MODELS, _INFERENCE = "/gradstream.v1.ModelService/", "/inference.GRPCInferenceService/"
SCOPES: Mapping[str, Scope] = {
    f"{service}{method}": scope
    for service, scope, methods in (
        (_TRAINING, Scope.READ, "WatchJob GetJob ListJobs ValidateSpec"),
        (_TRAINING, Scope.TRAIN, "Train CreateJob CancelJob PauseJob ResumeJob DeleteJob CheckGradients"),
        (_DATASETS, Scope.READ, "FindContent GetDataset ListDatasets"),
        (_DATASETS, Scope.TRAIN, "UploadDataset DeleteDataset"),
        (_MODELS, Scope.READ, "GetModel ListModels DownloadModel"),
        (_MODELS, Scope.TRAIN, "DeleteModel"),
        ("/gradstream.v1.SystemService/", Scope.READ, "GetServerInfo"),
        (_INFERENCE, Scope.READ, "ServerLive ServerReady ModelReady ServerMetadata ModelMetadata ModelInfer"),
        (_INFERENCE, Scope.READ, "RepositoryIndex"),
        (_INFERENCE, Scope.TRAIN, "RepositoryModelLoad RepositoryModelUnload"),
    )
    for method in methods.split()
}
"""What a caller of a method has to be allowed; what is not here, admin alone."""
_CHANGES_NOTHING = {f"{_TRAINING}CheckGradients"}


@dataclass
class Call:
    """A call that runs."""

    method: str
    principal: Principal
    peer: str = ""
    resource: str = ""
    told: bool = False
    """Whether the audit log knows how it went."""
    _identify: Identify = field(default=lambda: UNRESTRICTED)
    _looked_at: float = field(default_factory=time.monotonic)

    def check(self) -> None:
        """See now and then whether the caller is still let in.

        Raises:
            Unauthenticated: he is not.
        """
        if self.principal is UNRESTRICTED:
            return
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_AGAIN_S:
            self._identify()
            self._looked_at = now

    def tell(self, outcome: str) -> None:
        """Write the line of the audit log."""
        self.told = True
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "principal": self.principal.name,
            "method": self.method,
            "resource": self.resource,
            "outcome": outcome,
            "peer": self.peer,
        }
        _audit.info("%s", json.dumps(line))


_CALL: ContextVar[Call] = ContextVar("call")
_OPEN = Call("", UNRESTRICTED, told=True)


def caller() -> Principal:
    """Who makes the call that runs here."""
    return _CALL.get().principal


def about(resource: str) -> None:
    """Let the audit log know what the call that runs here changes."""
    call = _CALL.get()
    if call is not _OPEN:
        call.resource = resource


def done(resource: str) -> None:
    """Let the audit log know already what a call has changed that goes on for long."""
    about(resource)
    call = _CALL.get()
    if not call.told:
        call.tell("OK")


class Access:
    """Lets callers in."""

    def __init__(self, authentication: Authentication | None) -> None:
        """
        Args:
            authentication: tells them apart; None when everybody may do everything.
        """
        self._authentication = authentication

    def enter(self, method: str, context: Context) -> AbstractContextManager[Call]:
        """What a call runs in.

        Raises, on entering:
            Unauthenticated, OutOfScope: it must not run.
        """
        if self._authentication is None:
            _CALL.set(_OPEN)
            return nullcontext(_OPEN)
        return self._entered(self._authentication, method, context)

    @contextmanager
    def _entered(self, authentication: Authentication, method: str, context: Context) -> Iterator[Call]:
        call = Call(method, Principal("", Scope.READ), context.peer())
        needed = SCOPES.get(method, Scope.ADMIN)
        try:
            call._identify = authentication.identify(context)
            call.principal = call._identify()
            if call.principal.scope < needed:
                raise OutOfScope(method, needed.word, call.principal.scope.word)
            _CALL.set(call)
            yield call
        except BaseException as error:
            denied = isinstance(error, (Unauthenticated, OutOfScope))
            if denied or (_changes(method, needed) and not call.told):
                call.tell(_outcome(error))
            raise
        if _changes(method, needed) and not call.told:
            call.tell("OK")


def _changes(method: str, needed: Scope) -> bool:
    return needed > Scope.READ and method not in _CHANGES_NOTHING


def _outcome(error: BaseException) -> str:
    if isinstance(error, RequestError):
        return str(code_pb2.Code.Name(request_status(error).code))
    return "INTERNAL" if isinstance(error, Exception) else "CANCELLED"
