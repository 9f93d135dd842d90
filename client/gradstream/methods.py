"""The calls there are, each with the messages that it takes and gives."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import Int32Value, StringValue

from gradstream.inference.open_inference_pb2 import ModelInferRequest, ModelInferResponse
from gradstream.v1.dataset_pb2 import Dataset
from gradstream.v1.dataset_service_pb2 import (
    DeleteDatasetRequest,
    DeleteDatasetResponse,
    FindContentRequest,
    FindContentResponse,
    GetDatasetRequest,
    ListDatasetsRequest,
    ListDatasetsResponse,
    UploadDatasetRequest,
)
from gradstream.v1.event_pb2 import TrainingEvent
from gradstream.v1.job_pb2 import Job
from gradstream.v1.model_pb2 import Model
from gradstream.v1.model_service_pb2 import (
    DeleteModelRequest,
    DeleteModelResponse,
    DownloadModelRequest,
    DownloadModelResponse,
    GetModelRequest,
    ListModelsRequest,
    ListModelsResponse,
)
from gradstream.v1.system_service_pb2 import GetServerInfoRequest, ServerInfo
from gradstream.v1.training_service_pb2 import (
    CancelJobRequest,
    CheckGradientsRequest,
    CheckGradientsResponse,
    CreateJobRequest,
    DeleteJobRequest,
    DeleteJobResponse,
    GetJobRequest,
    ListJobsRequest,
    ListJobsResponse,
    PauseJobRequest,
    ResumeJobRequest,
    TrainRequest,
    ValidateSpecRequest,
    ValidateSpecResponse,
    WatchJobRequest,
)

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


@dataclass(frozen=True)
class Method(Generic[Request, Response]):
    """A call: where it lives on the server, what it takes and what it gives."""

    path: str
    request: type[Request]
    response: type[Response]


_TRAINING = "/gradstream.v1.TrainingService/"

TRAIN = Method(_TRAINING + "Train", TrainRequest, TrainingEvent)
WATCH_JOB = Method(_TRAINING + "WatchJob", WatchJobRequest, TrainingEvent)
CREATE_JOB = Method(_TRAINING + "CreateJob", CreateJobRequest, Job)
GET_JOB = Method(_TRAINING + "GetJob", GetJobRequest, Job)
LIST_JOBS = Method(_TRAINING + "ListJobs", ListJobsRequest, ListJobsResponse)
CANCEL_JOB = Method(_TRAINING + "CancelJob", CancelJobRequest, Job)
PAUSE_JOB = Method(_TRAINING + "PauseJob", PauseJobRequest, Job)
RESUME_JOB = Method(_TRAINING + "ResumeJob", ResumeJobRequest, Job)
DELETE_JOB = Method(_TRAINING + "DeleteJob", DeleteJobRequest, DeleteJobResponse)
VALIDATE_SPEC = Method(_TRAINING + "ValidateSpec", ValidateSpecRequest, ValidateSpecResponse)
CHECK_GRADIENTS = Method(_TRAINING + "CheckGradients", CheckGradientsRequest, CheckGradientsResponse)
GET_SERVER_INFO = Method("/gradstream.v1.SystemService/GetServerInfo", GetServerInfoRequest, ServerInfo)

_DATASETS = "/gradstream.v1.DatasetService/"

UPLOAD_DATASET = Method(_DATASETS + "UploadDataset", UploadDatasetRequest, Dataset)
FIND_CONTENT = Method(_DATASETS + "FindContent", FindContentRequest, FindContentResponse)
GET_DATASET = Method(_DATASETS + "GetDataset", GetDatasetRequest, Dataset)
LIST_DATASETS = Method(_DATASETS + "ListDatasets", ListDatasetsRequest, ListDatasetsResponse)
DELETE_DATASET = Method(_DATASETS + "DeleteDataset", DeleteDatasetRequest, DeleteDatasetResponse)

_MODELS = "/gradstream.v1.ModelService/"

GET_MODEL = Method(_MODELS + "GetModel", GetModelRequest, Model)
LIST_MODELS = Method(_MODELS + "ListModels", ListModelsRequest, ListModelsResponse)
DELETE_MODEL = Method(_MODELS + "DeleteModel", DeleteModelRequest, DeleteModelResponse)
DOWNLOAD_MODEL = Method(_MODELS + "DownloadModel", DownloadModelRequest, DownloadModelResponse)

# The messages of grpc.health.v1 have one field each, a text to ask and a number to answer: the wrapper
# messages of protobuf are the same bytes, so a health check needs no further package.
CHECK_HEALTH = Method("/grpc.health.v1.Health/Check", StringValue, Int32Value)

MODEL_INFER = Method("/inference.GRPCInferenceService/ModelInfer", ModelInferRequest, ModelInferResponse)
