"""The server: everything concrete is made and wired here, and its life reads from top to bottom."""

import asyncio
import functools
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from typing import cast

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from gradstream.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    system_service_pb2,
    system_service_pb2_grpc,
    training_service_pb2,
    training_service_pb2_grpc,
)
from gradstream_server import logs
from gradstream_server.addresses import Address
from gradstream_server.config import ServerConfig
from gradstream_server.data.service import DatasetService
from gradstream_server.executors.gradient_process import GradientProcesses
from gradstream_server.executors.local import LocalExecutor
from gradstream_server.executors.matrix_cache import MatrixCache
from gradstream_server.executors.messages import Equipment
from gradstream_server.executors.prediction_process import PredictionProcesses
from gradstream_server.executors.table_process import TableProcesses
from gradstream_server.inference import open_inference_pb2, open_inference_pb2_grpc
from gradstream_server.jobs.gradient_check import GradientChecks
from gradstream_server.jobs.log import EventLog
from gradstream_server.jobs.runner import JobRunner
from gradstream_server.jobs.service import JobService
from gradstream_server.lock import DataDirLock
from gradstream_server.models.contents import ModelContents
from gradstream_server.models.service import ModelService
from gradstream_server.models.serving import Serving
from gradstream_server.rpc.access import Access
from gradstream_server.rpc.authentication import Authentication
from gradstream_server.rpc.codec import ProtoCodec
from gradstream_server.rpc.datasets import DatasetServicer
from gradstream_server.rpc.guard import guarded
from gradstream_server.rpc.inference import InferenceServicer
from gradstream_server.rpc.models import ModelServicer
from gradstream_server.rpc.registration import unregistered
from gradstream_server.rpc.system import SystemServicer
from gradstream_server.rpc.training import TrainingServicer
from gradstream_server.stores.checkpoints import FileCheckpoints
from gradstream_server.stores.database import Database
from gradstream_server.stores.datasets import DatasetFolder, FileDatasets
from gradstream_server.stores.files import FileDataStore
from gradstream_server.stores.models import SqlModelStore
from gradstream_server.stores.results import FileResults
from gradstream_server.stores.sql import SqlJobStore
from gradstream_server.stores.sqlite import Durability
from gradstream_server.stores.tokens import FileTokens
from gradstream_server.stores.uploads import FileUploads
from gradstream_server.tls import Certificates
from gradstream_server.trainers import catalogue
from gradstream_server.trainers.plugins import Plugins

_logger = logging.getLogger(__name__)

_SERVICES = (
    training_service_pb2.DESCRIPTOR.services_by_name["TrainingService"].full_name,
    dataset_service_pb2.DESCRIPTOR.services_by_name["DatasetService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    system_service_pb2.DESCRIPTOR.services_by_name["SystemService"].full_name,
    open_inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
)
# Streams are told to re-attach elsewhere; unary calls under way get this long to answer.
_CALLS_GRACE_S = 1.0
_LONGEST_UNREQUESTED_S = 3600


class AddressInUse(Exception):
    """The server cannot listen where it should."""


class Server:
    """One gradstream server. Made and run on one event loop."""

    def __init__(self, config: ServerConfig) -> None:
        """Make the parts and wire them.

        Raises:
            DataDirError, StoreError: the data directory, or the database in it, cannot be used.
            TlsError, TokensError, AuditLogError: certificates, tokens or the audit log cannot be used.
        """
        self._config = config
        self._certificates = (
            Certificates(config.tls_cert, config.tls_key, config.tls_client_ca)
            if config.tls_cert and config.tls_key
            else None
        )
        self._stopping = asyncio.Event()
        self._has_address = False
        self._lock = DataDirLock(config.data_dir)
        try:
            data = FileDataStore(self._lock.folder("data"))
            checkpoints = FileCheckpoints(self._lock.folder("checkpoints"))
            datasets = FileDatasets(self._lock.folder("datasets"))
            uploads = FileUploads(self._lock.folder("uploads"))
            matrices = MatrixCache(self._lock.folder("matrices"), config.max_matrix_bytes)
            matrices.clear()
            models = self._lock.folder("models")
            self._database = Database.open_sqlite(
                config.data_dir / "gradstream.sqlite", cast(Durability, config.durability)
            )
        except BaseException:
            self._lock.close()
            raise
        _report_plugins(catalogue.installed())
        codec = ProtoCodec()
        store = SqlJobStore(self._database)
        self._log = EventLog(store, codec)
        model_store = SqlModelStore(self._database)
        contents = ModelContents(store, model_store, FileResults(models, self._database.with_room), codec)
        self._models = ModelService(model_store, contents, self._log, codec)
        equipment = Equipment(
            threads=config.worker_threads,
            data=data,
            datasets=DatasetFolder(config.data_dir / "datasets"),
            matrices=matrices,
            checkpoints=checkpoints,
            checkpoint_interval_s=config.checkpoint_interval,
            max_parameters=config.max_parameters,
            configure_logging=functools.partial(
                logs.configure, config.log_level, cast(logs.LogFormat, config.log_format)
            ),
        )
        modules = PredictionProcesses(config.workers, config.worker_threads, equipment.configure_logging)
        self._serving = Serving(self._models, modules, os.cpu_count() or 1, config.limits.max_message_bytes)
        self._executor = LocalExecutor(
            workers=config.workers,
            equipment=equipment,
            stop_grace_s=config.stop_grace,
        )
        runner = JobRunner(
            self._log, self._executor, checkpoints, config.max_queued_jobs, config.max_restarts
        )
        self._datasets = DatasetService(
            datasets,
            uploads,
            TableProcesses(config.workers),
            store,
            config.limits,
            keep_uploads_s=config.keep_uploads,
        )
        self._service = JobService(
            store,
            data,
            contents,
            self._log,
            runner,
            self._executor,
            self._datasets.get,
            codec,
            config.limits,
            disconnect_grace_s=config.disconnect_grace,
            keep_ended_s=config.keep_ended,
        )
        gradients = GradientChecks(self._service.resolve, GradientProcesses(equipment))
        self._health = health.aio.HealthServicer()
        self._grpc = grpc.aio.server(
            options=[
                # Otherwise a second server on the same port silently shares it.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", config.limits.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                # Of calls that come at once, while many streams are busy, the last are taken up late. gRPC
                # would cancel them after 30 s; how long a call may take is for its caller to say.
                ("grpc.server_max_unrequested_time_in_server", _LONGEST_UNREQUESTED_S),
                # The default answers clients that ping more often than every 5 minutes with GOAWAY.
                ("grpc.http2.min_ping_interval_without_data_ms", 9_000),
                ("grpc.keepalive_time_ms", 30_000),
                ("grpc.keepalive_timeout_ms", 20_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        server = unregistered(self._grpc, functools.partial(guarded, access=Access(self._authentication())))
        training_service_pb2_grpc.add_TrainingServiceServicer_to_server(
            TrainingServicer(self._service, gradients, config.heartbeat), server
        )
        dataset_service_pb2_grpc.add_DatasetServiceServicer_to_server(DatasetServicer(self._datasets), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(self._models), server)
        system_service_pb2_grpc.add_SystemServiceServicer_to_server(SystemServicer(self._service), server)
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(
            InferenceServicer(self._serving, lambda: not self._stopping.is_set()), server
        )
        # Health and reflection look after themselves.
        health_pb2_grpc.add_HealthServicer_to_server(self._health, unregistered(self._grpc))
        if config.reflection:
            reflection.enable_server_reflection(
                [*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME], self._grpc
            )

    async def serve(self, announce: Callable[[str], None]) -> None:
        """Serve until told to stop.

        Args:
            announce: told the addresses, once the server answers and signals are handled.

        Raises:
            AddressInUse: it cannot listen there.
        """
        try:
            announce(await self._startup())
            await self._stopping.wait()
        finally:
            await self._shutdown()

    def stop(self) -> None:
        """Begin to stop."""
        self._stopping.set()

    def _authentication(self) -> Authentication | None:
        """What tells callers apart, if anything does."""
        config, ways = self._config, self._config.auth_ways
        if not ways:
            return None
        logs.configure_audit(config.audit_log)
        tokens = FileTokens(config.data_dir) if "tokens" in ways else None
        if tokens and not tokens.current():
            _logger.warning("there are no tokens yet: make some with `gradstream token create`")
        admins = {name.strip() for name in config.admins.split(",")} - {""}
        return Authentication(tokens, "mtls" in ways, admins)

    async def _startup(self) -> str:
        addresses = ", ".join([self._listen(address) for address in self._config.addresses])
        self._has_address = True
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        await self._service.recover()
        await self._models.recover()
        self._datasets.start()
        await self._grpc.start()
        await self._set_health(serving=True)
        # What is there by now stays: no collection of garbage has to look through it again.
        gc.freeze()
        # After the answers, not before: starting workers takes the cores for a while.
        self._executor.start()
        _logger.info(
            "listening",
            extra={"address": addresses, "data_dir": self._config.data_dir, "workers": self._config.workers},
        )
        return addresses

    def _listen(self, address: Address) -> str:
        """Begin to listen; returns the address with the port that it has got."""
        secure = self._certificates and not address.socket
        if not secure and not address.is_local:
            _logger.warning(
                "no TLS: everyone on the way reads and changes what is sent", extra={"address": address.text}
            )
        try:
            if address.socket and _answers(address.socket):
                raise RuntimeError("gRPC would take it from who has it")
            if self._certificates and secure:
                port = self._grpc.add_secure_port(address.text, self._certificates.credentials())
            else:
                port = self._grpc.add_insecure_port(address.text)
        except RuntimeError as error:
            raise AddressInUse(
                f"cannot listen on {address.text}: it is in use, or not an address of this machine; "
                "name another with --address"
            ) from error
        return address.text if address.socket else f"{address.host}:{port}"

    async def _shutdown(self) -> None:
        # A server that could not even listen has nothing to stop but its parts.
        level = logging.INFO if self._has_address else logging.DEBUG
        _logger.log(level, "stopping")
        await self._set_health(serving=False)
        self._datasets.close()
        try:
            await self._service.drain()
        except Exception:
            # All that follows has to happen all the same; the next start finds what is left.
            _logger.exception("running jobs could not be put aside properly")
        # Health watches stay open as long as they are let.
        await self._grpc.stop(_CALLS_GRACE_S if self._stopping.is_set() else None)
        self._serving.close()
        await self._executor.close()
        await self._log.close()
        self._database.close()
        self._lock.close()
        _logger.log(level, "stopped")

    async def _set_health(self, serving: bool) -> None:
        answer = health_pb2.HealthCheckResponse
        status = answer.SERVING if serving else answer.NOT_SERVING
        for service in ("", *_SERVICES):
            await self._health.set(service, status)


def _answers(path: str) -> bool:
    """Whether somebody listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as tried:
        try:
            tried.connect(path)
        except OSError:
            return False
        return True


def _report_plugins(plugins: Plugins) -> None:
    """Tell the operator which installed modules there are, and which are left out."""
    for name, part in plugins.models.items():
        _logger.info("installed module", extra={"model": name, "package": part.package})
    for name, reason in plugins.unusable.items():
        _logger.error(
            "an installed module cannot be used",
            extra={"model": name, "reason": str(reason)},
            exc_info=reason.__cause__,
        )
