"""The model of a job: a trainer, and the scaling that is between it and the data's own units."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gradstream.bundle.digest import digest
from gradstream_server.executors.training_data import TrainingData
from gradstream_server.jobs.events import Completed, Receipt, Started
from gradstream_server.jobs.events import Scaling as Told
from gradstream_server.jobs.spec import FloatArray, Spec
from gradstream_server.trainers.catalogue import is_plugin
from gradstream_server.trainers.devices import to_numpy
from gradstream_server.trainers.errors import CannotTrain
from gradstream_server.trainers.problem import Parameters, Problem, Trainer
from gradstream_server.trainers.registry import load


@dataclass(frozen=True)
class Environment:
    """Where a worker computes; for the receipt, and what it may make."""

    threads: int
    versions: Mapping[str, str]
    max_parameters: int = 0
    """Numbers of a model; 0 for any."""


@dataclass(frozen=True)
class Reached:
    """What a model is after an epoch."""

    parameters: Mapping[str, FloatArray]
    """On the host, of their own: updates to come leave them as they are."""
    predictions: FloatArray | None


class Model:
    """What a trainer makes of a spec and its data, told in the data's own units."""

    def __init__(self, spec: Spec, data: TrainingData, environment: Environment) -> None:
        self._spec = spec
        self._environment = environment
        self._scaling = data.scaling
        self._rows = len(data.features)
        self._validation_rows = len(data.validation.targets) if data.validation else 0
        self._asked = None if spec.predict_rows is None else self._scaled(spec.predict_rows)
        # What parameters of an installed module have to do with units only it knows.
        self._units = None if is_plugin(spec.parts["model"]) else data.scaling
        initial = spec.initial_parameters
        if self._units:
            initial = self._units.to_scaled(initial)
        self.problem = Problem(
            features=data.features,
            targets=data.targets,
            epochs=spec.epochs,
            learning_rate=spec.learning_rate,
            batch_size=spec.batch_size,
            shuffle=spec.shuffle,
            reduction=spec.reduction,
            intercept=spec.intercept,
            l2=spec.l2,
            seed=spec.seed,
            device=spec.device,
            model=spec.parts["model"],
            loss=spec.parts["loss"],
            classes=len(spec.data.classes),
            initialization=spec.parts["initialization"],
            optimizer=spec.parts["optimizer"],
            schedule=spec.parts["schedule"],
            clipping=spec.parts["clipping"],
            mixed_precision=spec.parts["mixed_precision"],
            initial={name: value.astype(spec.dtype) for name, value in initial.items()},
            validation=data.validation,
        )
        self.trainer: Trainer = load(spec.trainer)(self.problem)
        self.parameter_count = sum(math.prod(value.shape) for value in self.trainer.parameters().values())
        """Numbers that the model has."""
        if 0 < environment.max_parameters < self.parameter_count:
            numbers = f"{self.parameter_count} numbers; at most {environment.max_parameters}"
            raise CannotTrain(f"the model has {numbers}, the server's max_parameters; make it smaller")

    def started(self) -> Started:
        """What there is to tell before training."""
        data = self._spec.data
        return Started(
            rows=self._rows,
            features=len(data.feature_names),
            targets=len(data.target_names),
            parameters=_on_host(self.trainer.parameters()),
            predictions=self._predictions(),
            scaling=self._told_scaling(),
            validation_rows=self._validation_rows,
        )

    def reached(self) -> Reached:
        """What the model is now."""
        return Reached(_on_host(self.trainer.parameters()), self._predictions())

    def result(self, reached: Reached, epochs: int, final_loss: float, training_s: float) -> Completed:
        """What was reached, by so many epochs."""
        parameters = reached.parameters
        return Completed(
            epochs=epochs,
            final_loss=final_loss,
            parameters=parameters,
            predictions=reached.predictions,
            unscaled_parameters=self._units.to_own_units(parameters) if self._units else None,
            receipt=Receipt(
                data_digest=self._spec.data.digest,
                parameter_digest=digest(parameters),
                device=self._spec.device,
                threads=self._environment.threads,
                versions=self._environment.versions,
            ),
            training_s=training_s,
            scaling=self._told_scaling(),
        )

    def _told_scaling(self) -> Told | None:
        return (self._scaling.mean, self._scaling.scale) if self._scaling else None

    def _predictions(self) -> FloatArray | None:
        return None if self._asked is None else self.trainer.predict(self._asked)

    def _scaled(self, features: FloatArray) -> FloatArray:
        scaled = self._scaling.apply(features) if self._scaling else features
        return np.ascontiguousarray(scaled, dtype=self._spec.dtype)


def has_finite_predictions(told: Started | Completed) -> bool:
    """Whether all predictions that were asked for are numbers."""
    return told.predictions is None or _finite(told.predictions)


def has_finite_parameters(result: Completed) -> bool:
    """Whether the parameters are numbers, in the data's own units too."""
    return _finite(*result.parameters.values(), *(result.unscaled_parameters or {}).values())


def _finite(*arrays: FloatArray) -> bool:
    return all(np.isfinite(array).all() for array in arrays)


def _on_host(parameters: Parameters) -> dict[str, FloatArray]:
    return {name: np.array(to_numpy(value)) for name, value in parameters.items()}
