"""The system service: what the server is and has."""

from typing import Any

import grpc

import gradstream
from gradstream.v1 import system_service_pb2, system_service_pb2_grpc
from gradstream_server.jobs.service import JobService
from gradstream_server.rpc.parts import part_infos
from gradstream_server.trainers.registry import TRAINERS


class SystemServicer(system_service_pb2_grpc.SystemServiceServicer):
    """gradstream.v1.SystemService."""

    def __init__(self, service: JobService) -> None:
        self._service = service

    async def GetServerInfo(
        self, request: system_service_pb2.GetServerInfoRequest, context: "grpc.aio.ServicerContext[Any, Any]"
    ) -> system_service_pb2.ServerInfo:
        limits = self._service.limits
        devices = await self._service.devices()
        workers, running, queued = self._service.load
        return system_service_pb2.ServerInfo(
            version=gradstream.__version__,
            devices=[
                system_service_pb2.Device(name=device.name, description=device.description)
                for device in devices
            ],
            trainers=[
                system_service_pb2.TrainerInfo(name=name, description=entry.description)
                for name, entry in TRAINERS.items()
            ],
            parts=part_infos(),
            limits=system_service_pb2.Limits(
                max_epochs=limits.max_epochs,
                max_data_bytes=limits.max_data_bytes,
                max_predict_bytes=limits.max_predict_bytes,
                max_parameters=limits.max_parameters,
                max_message_bytes=limits.max_message_bytes,
                max_queued_jobs=limits.max_queued_jobs,
                max_watches=limits.max_watches,
                max_job_memory_bytes=limits.max_job_memory_bytes,
                max_job_seconds=limits.max_job_seconds,
                max_dataset_bytes=limits.max_dataset_bytes,
                disconnect_grace_seconds=self._service.disconnect_grace_s,
            ),
            workers=workers,
            running_jobs=running,
            queued_jobs=queued,
        )
