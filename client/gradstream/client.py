"""The client for synchronous programs."""

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Literal, Self, Unpack
from uuid import UUID

from numpy.typing import ArrayLike

from gradstream.dataset import Dataset
from gradstream.dataset_operations import DatasetOperations
from gradstream.endpoint import endpoint
from gradstream.gradients import GradientCheck
from gradstream.job import Job, JobState, ModelVersion
from gradstream.model import Model
from gradstream.model_operations import ModelOperations
from gradstream.operations import Operations
from gradstream.replay import Replay
from gradstream.request import build_spec
from gradstream.run import Run
from gradstream.server_info import Health, ServerInfo, Validation
from gradstream.session import RetryCallback, Session
from gradstream.source import Source
from gradstream.space import Space
from gradstream.spec import SpecOptions
from gradstream.sweep import Sweep
from gradstream.sweep_steps import Plan, SweepSteps
from gradstream.tls import TLS
from gradstream.transport import BlockingTransport, finish
from gradstream.upload import ProgressCallback


class Client:
    """A connection to a gradstream server. It may be shared by threads; use it with `with`, or close it.

        with Client() as client:
            run = client.train(features, targets, epochs=100, learning_rate=0.1)
            for event in run: ...
            print(run.result().parameters)

    Every method raises a `GradstreamError` when the server refuses or cannot be reached.
    """

    def __init__(
        self,
        server: str | None = None,
        *,
        tls: TLS | bool | None = None,
        profile: str | None = None,
        token: str | None = None,
        timeout_s: float = 60.0,
        patience_s: float = 60.0,
        on_retry: RetryCallback | None = None,
    ) -> None:
        """Nothing is sent yet.

        server: "HOST:PORT", or "unix:/PATH" of a socket. Default: the environment's GRADSTREAM_SERVER, else
            that of the default profile, else 127.0.0.1:50051.
        tls: how to speak TLS, or whether to. Default: what the environment (GRADSTREAM_TLS_CA,
            GRADSTREAM_TLS_CERT, GRADSTREAM_TLS_KEY) or the profile says, else plaintext.
        profile: a server of ~/.config/gradstream/config.toml, in place of `server`; see
            `gradstream.profiles`. Default: the environment's GRADSTREAM_PROFILE, else `default`, if it is
            there and no other server is named.
        token: says who calls; it goes over TLS, or to this machine, alone. Default: the environment's
            GRADSTREAM_TOKEN, else what the profile's `token_file` holds.
        timeout_s: how long a call other than `train` and `watch` may take, tries included.
        patience_s: how long a run may be without progress while the server, which was there, cannot be
            reached; then it ends with ServerUnreachableError. The job is kept.
        on_retry: called with the error and the seconds to wait, before a call is tried again.

        Raises InvalidArgumentError for an address, a profile or files of TLS that cannot be used.
        """
        found = endpoint(server, tls, profile, token)
        self.server = found.address
        """Where the server is."""
        self._transport = BlockingTransport(found)
        self._session = Session(self._transport, self.server, timeout_s, patience_s, on_retry)
        self._operations = Operations(self._session)
        self._datasets = DatasetOperations(self._session)
        self._models = ModelOperations(self._session)

    def train(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        request_id: UUID | str | None = None,
        priority: int = 0,
        cancel_on_disconnect: bool = False,
        group: str = "",
        model_name: str = "",
        **options: Unpack[SpecOptions],
    ) -> Run:
        """Start a job and watch it; without data, the reference experiment of the trainer.

        features: what is known of each row, shape (rows, features), or (rows,) for a single feature: whatever
            `numpy.asarray` takes. float32 and float64 are sent as they are, other numbers as float64.
        targets: what is to be predicted, shape (rows, targets), or (rows,) for a single one.
        request_id: a UUID of version 4. The same id with the same spec attaches to the
            same job. Default: a new one.
        priority: jobs with a higher one run first, and among equals who came first. From -100 to 100.
        cancel_on_disconnect: whether the job is cancelled once nobody has watched it for the server's
            `disconnect_grace_seconds`: time enough to attach again.
        group: a name for jobs that belong together, which `jobs` finds them by: at most 64 letters, digits,
            -, _ and . Default: none.
        model_name: a name for the model, as long and of the same characters. Each job of a name that succeeds
            leaves its next version. Default: the model is called as the job is.
        options: any of these, by name; types and more are told by `help(gradstream.SpecOptions)`.

            trainer: how the gradient is obtained: "manual" (the default), "autograd" or "module".
            device: "auto", "cpu", "cuda", "cuda:N" or "mps". Default: the first the server has.
            epochs: how often to go through all rows. Default 100; 20 for the manual reference experiment.
            learning_rate: step length of gradient descent. Default 0.01.
            batch_size: rows per update. Default: all of them.
            shuffle: whether rows are visited in a new order every epoch. Default: only with mini-batches.
            gradient_reduction: gradient of the "mean" (the default) or the "sum" of squared errors.
            intercept: whether the model has a bias. Default: yes.
            l2: strength of L2 regularization of the weight. Default 0.
            dtype: precision of training, "float32" or "float64". Default: that of the features.
            seed: seed of everything random. Default 0.
            standardize: whether features are scaled to mean 0 and standard deviation 1. Default: no.
            initial_parameters: where training starts, such as {"weight": 0.0, "bias": 1.0}, or where another
                run has ended: its `result().parameters_in_own_units`.
            report_every: report every n-th epoch only. Default 1: all.
            predict_rows: rows to predict before and after training, shape (rows, features).
            feature_names: a name for each feature. Default: the columns of a table that has some.
            target_names: a name for each target. Default: the columns of a table that has some.
            dataset: a data set, or its digest, in place of features and targets; and of it:
            target_columns: its columns to predict.
            feature_columns: its columns to learn from. Default: all others of numbers, and `one_hot`.
            one_hot: feature columns that are encoded as one feature for each of their values.
            max_categories: how many values such a column may have. Default 100.
            nulls: rows without a value are an "error" (the default), or "drop", or "mean" stands in.
            max_memory_bytes: memory that training may take. Default, and at most: what the server allows.
            max_seconds: how long the job may run. Default, and at most: what the server allows.
            model: what is trained, by name ("logistic") or by name and options. Default "linear".
                `server_info().parts` lists what there is.
            loss: what is made small, alike. Default: that of the model.
            initialization: how weights that are not given start, alike. Default: the trainer's own.
            optimizer: how a gradient becomes an update, alike, such as ("adam", {"weight_decay": 0.01}).
                Default "sgd".
            schedule: how the learning rate changes from epoch to epoch, alike. Default "none".
            clipping: what is done to a gradient that is too long, alike. Default "none".
            validation: rows that the model is measured on after each epoch, and that nothing is learnt from:
                a share of the rows such as 0.2; a whole number, so many of the last rows; features and
                targets; or with `dataset` another data set, or its digest. Default: none.
            metrics: what is measured of them beside the loss, such as "mae" or "auc". Default: all that fit.
            patience: end training when the validation loss (without validation, the loss) has not improved
                for so many epochs. Default: it is not ended so.
            monitor: what has to improve instead, such as "accuracy".
            min_delta: by more than how much it has to, to count. Default 0.
            restore_best: whether the model is that of the best epoch. Default: with `patience` only.
            stop_after_seconds: end training then, with what it has reached. Default: no limit.
            mixed_precision: whether the forward pass is in 16 bits, alike. Default "none".

        Returns once the server has accepted it. Raises InvalidArgumentError, with a violation for each field,
        FailedPreconditionError for a device that is not there, ResourceExhaustedError for a full queue.
        """
        spec = build_spec(features, targets, **options)
        return Run(
            finish(
                self._operations.train(spec, request_id, priority, cancel_on_disconnect, group, model_name)
            )
        )

    def create(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        request_id: UUID | str | None = None,
        priority: int = 0,
        group: str = "",
        model_name: str = "",
        **options: Unpack[SpecOptions],
    ) -> Job:
        """Start a job and leave it to itself. Arguments and errors as for `train`."""
        spec = build_spec(features, targets, **options)
        return finish(self._operations.create(spec, request_id, priority, group, model_name))

    def validate(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        **options: Unpack[SpecOptions],
    ) -> Validation:
        """What the server would make of a spec, without starting anything. Raises as `train` does."""
        return finish(self._operations.validate(build_spec(features, targets, **options)))

    def check_gradients(
        self,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        **options: Unpack[SpecOptions],
    ) -> GradientCheck:
        """Compare the gradients of all trainers on the first batch, and with finite differences of the loss.

            check = client.check_gradients(features, targets)
            assert check.difference < 1e-12

        Arguments as for `train`; `trainer` decides where all of them start. It is the gradient of the loss
        alone, without optimizer, schedule, clipping, l2, mixed precision and dropout. Trainers that do not do
        the model are named in `left_out`. Nothing is kept.

        Raises as `train` does; ResourceExhaustedError where others wait already, or for want of memory;
        DeadlineExceededError after 30 s, or `max_seconds`; InvalidArgumentError where a gradient is not
        finite.
        """
        return finish(self._operations.check_gradients(build_spec(features, targets, **options)))

    def watch(self, job: str, after_sequence: int = 0) -> Run:
        """Watch a job, from the event after `after_sequence` on: by default from the first.

        Raises NotFoundError, and OutOfRangeError (here or while iterating) for a sequence beyond the log.
        """
        return Run(finish(self._operations.watch(job, after_sequence)))

    def get(self, job: str) -> Job:
        """A job as it stands. Raises NotFoundError."""
        return finish(self._operations.get(job))

    def jobs(self, states: Iterable[JobState | str] = (), *, group: str = "") -> Iterator[Job]:
        """All jobs, newest first; or those in one of the states, and of the group. Fetched as needed."""
        states, token, more = tuple(states), "", True
        while more:
            page, token = finish(self._operations.page(states, token, group))
            yield from page
            more = bool(token)

    def cancel(self, job: str) -> Job:
        """Ask a job to stop, and return it as it then stands. Again: no change.

        Raises NotFoundError, and FailedPreconditionError for a job that has succeeded or failed.
        """
        return finish(self._operations.cancel(job))

    def pause(self, job: str) -> Job:
        """Put a job aside, and return it once it is PAUSED and needs no worker. Again: no change.

        Raises NotFoundError, and FailedPreconditionError for a job that has ended or is being cancelled.
        """
        return finish(self._operations.pause(job))

    def resume(self, job: str) -> Job:
        """Queue a paused job again, to go on where it was, and return it as it then stands. Again: no change.

        Raises NotFoundError, and FailedPreconditionError for a job that has ended or is being cancelled.
        """
        return finish(self._operations.resume(job))

    def delete(self, job: str) -> None:
        """Delete a job that has ended, with its log and all that is kept for it.

        Raises NotFoundError, and FailedPreconditionError for a job that has not ended: cancel it first.
        """
        finish(self._operations.delete(job))

    def replay(self, job: str, *, request_id: UUID | str | None = None) -> Replay:
        """Train again what a job has trained, as a new job, to see whether it comes to the same.

            assert client.replay(job).result().same

        Raises NotFoundError, FailedPreconditionError for a job that has not succeeded, for there is nothing
        to compare with, and what `train` raises.
        """
        reader, original = finish(self._operations.replay(job, request_id))
        return Replay(Run(reader), original)

    def sweep(
        self,
        vary: Space,
        features: ArrayLike | None = None,
        targets: ArrayLike | None = None,
        *,
        draws: int | None = None,
        search: Literal["random", "optuna"] = "random",
        at_once: int | None = None,
        group: str = "",
        priority: int = 0,
        objective: str = "loss",
        **options: Unpack[SpecOptions],
    ) -> Sweep:
        """Train one run for each of some options, a few at a time, and find the best; nothing is sent yet.

            sweep = client.sweep({"learning_rate": [0.01, 0.1], "batch_size": [64, 256]}, x, y, epochs=50)
            for run in sweep: ...
            print(sweep.best.options, sweep.best.result.parameters)

        vary: by the name of an option, the values that it takes, or with `draws` also `Uniform(low, high)` or
            `LogUniform(low, high)`.
        features, targets, priority, options: as for `train`.
        draws: how many runs to draw. Default: the grid, every combination of the values.
        search: how they are drawn: at "random", seeded by the option `seed`, or by "optuna", from what has
            come of those before; that needs gradstream[sweep].
        at_once: how many jobs may be there that have not ended. Default: as many as the server has workers.
        group: the group of the jobs. A sweep of a group that is there already goes on with it: what was
            trained is not trained again. Default: a new one.
        objective: what to look for: the final "loss", with validation that of the validation rows.

        Each run is a job of its own. One that fails counts as worse than all others. Raises ValueError for
        what cannot be varied; iterating raises what `create` does, and the jobs that are there go on.
        """
        seed = options.get("seed") or 0
        plan = Plan(vary, draws, search, seed, at_once, group, priority, objective)
        return Sweep(SweepSteps(self._operations, self._session, plan, features, targets, **options))

    def upload(
        self, source: Source, *, name: str | None = None, on_progress: ProgressCallback | None = None
    ) -> Dataset:
        """Upload a table, and return it as the server has read it. What it has already is not sent again.

        source: the path of a file; a binary file; an array of numbers, (rows, columns) or (rows,); a mapping
            of names to arrays of as many rows; a frame of pandas (without its index) or polars; or any table
            with `__arrow_c_stream__`. Columns that are no numbers need pyarrow, except in polars.
        name: its ending says what the file is: .csv, .tsv, .parquet, .arrow, .feather, .arrows, .npy or .npz;
            .csv, .tsv, .npy and .arrows also with .gz or .zst behind. Default: the file's own; else one that
            fits.
        on_progress: called with the bytes of the file that have been sent, and those that it has. Not called
            at all when the server has the file already.

        One that breaks off goes on where it was: at once, for as long as `patience_s` says, or when the same
        file is uploaded again within some hours.

        Raises InvalidArgumentError for what is no table (the message says where), or changes meanwhile, and
        ResourceExhaustedError for a full disk or too many uploads.
        """
        return finish(self._datasets.upload(source, name, on_progress))

    def datasets(self) -> Iterator[Dataset]:
        """All data sets, newest first, without the categories of their columns; fetched as needed."""
        token, more = "", True
        while more:
            page, token = finish(self._datasets.page(token))
            yield from page
            more = bool(token)

    def dataset(self, digest: str) -> Dataset:
        """A data set by its digest, or the first characters of it, at least 6. Raises NotFoundError."""
        return finish(self._datasets.get(digest))

    def delete_dataset(self, digest: str) -> None:
        """Delete a data set. Jobs that have ended keep their results, but cannot be trained again.

        Raises NotFoundError, and FailedPreconditionError while jobs that have not ended train on it.
        """
        finish(self._datasets.delete(digest))

    def models(self, name: str = "") -> Iterator[Model]:
        """All models, newest first, or those of a name; fetched as needed."""
        token, more = "", True
        while more:
            page, token = finish(self._models.page(token, name))
            yield from (Model.of(info, self._models) for info in page)
            more = bool(token)

    def model(self, name: str | ModelVersion, version: int | None = None) -> Model:
        """A model: the latest of its name, unless a version is given.

            client.model("house-prices").download("model.onnx")

        name: the name, or the `model` of a result or a job.

        Raises NotFoundError, whose message tells the nearest names, or the versions there are.
        """
        return Model.of(finish(self._models.get(name, version)), self._models)

    def delete_model(self, name: str, version: int | None = None, *, all_versions: bool = False) -> list[int]:
        """Delete a version of a model, or all of them, for good, and return those that were. Jobs stay.

        Raises NotFoundError, and InvalidArgumentError for neither a version nor `all_versions`, or both.
        """
        return finish(self._models.delete(name, version, all_versions))

    def server_info(self) -> ServerInfo:
        """What the server is: its version, devices, trainers and limits."""
        return finish(self._operations.server_info())

    def health(self) -> Health:
        """Whether the server takes work."""
        return finish(self._operations.health())

    def close(self) -> None:
        """End the connection, and with it all calls. Jobs go on."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
