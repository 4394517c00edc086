"""The manifest of a release: how its model was made, from which rows, and the hashes of its files.

Releases are built and loaded in ``release.bundle``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from contender.documents.code import Code
from contender.documents.columns import Column
from contender.documents.sweep import Trial
from contender.frozen import Frozen


class TrainedOn(Frozen):
    """Which rows a model was trained on; it is never judged on them.

    These are all rows with a time before ``through`` or, without a time column, all rows whose hash with ``salt`` is at
    or above ``gate``. ``columns`` are the columns that decide it (the time, else the id, else the features), each with its type.
    An id of type ``Int64`` is hashed as text. In releases of version 0.1.0 it is a ``float64`` and hashed as such, and
    the target may be among the columns.
    """

    columns: dict[str, str]
    through: datetime | None = None
    salt: str | None = None
    gate: float | None = None


class Recipe(Frozen):
    """How the candidate's model is made: all that its predictions depend on. ``key`` is the hash of the others."""

    key: str
    trial: Trial
    snapshot: str
    quarantine: str
    rows: Literal["all_rows", "train_rows"]
    trained_on: TrainedOn

    @property
    def label(self) -> str:
        """The estimator as shown to people."""
        return self.trial.label


class Adopted(Frozen):
    """What is known of an adopted model, which Contender did not make. It takes the place of a recipe.

    Attributes:
        source: the MLflow address it was adopted from.
        inputs: the dtype with which each of its columns is passed, by name; the others are passed as they are.
        positive: the index of the positive class among its two probabilities; None for regression.
        trained_on: the rows it may have been trained on, as the adopting user states or as MLflow's save time implies.
    """

    source: str
    estimator: str
    inputs: dict[str, str]
    positive: int | None
    trained_on: TrainedOn

    @property
    def label(self) -> str:
        """The estimator as shown to people."""
        return f"{self.estimator.rpartition('.')[2]} (adopted)"


class Release(Frozen):
    """The manifest of the bundle that serves: its model, the hashes of its files, and the code that made it.

    Attributes:
        model: the id of the logged model; for an adopted model its address.
        labels: the target's values: negative, positive; None for regression.
        files: hash of each of the model's files, as MLflow serves them.
        golden: hash of the file with rows and the predictions that the model must give for them.
        shipped: the user's packages whose code is inside the model, each with the folders it came from.
        place: the folder of its files below the pipeline's releases, named by their content; empty where it is the
            run's id: in version 0.1.0, and of adopted models.
    """

    pipeline: str
    run_id: str
    as_of: datetime
    recipe: Recipe | Adopted
    code: Code
    model: str
    features: tuple[Column, ...]
    labels: tuple[str, str] | None
    files: dict[str, str]
    golden: str
    shipped: dict[str, tuple[str, ...]] = {}
    place: str = ""

    def key(self, name: str) -> str:
        """The key of one of the bundle's files."""
        return release_key(self.pipeline, self.place or self.run_id, name)


class Logged(Frozen):
    """What a run logs in MLflow as its model, written before the upload: nothing else is ever taken for it.

    Attributes:
        model: the id of the logged model.
        files: hash of each of its files.
        recipe: the key of the recipe that it was made by; a run that is judged anew may have another.
    """

    model: str
    files: dict[str, str]
    recipe: str = ""


class Registered(Frozen):
    """Which version of MLflow's registered model a release is now; the ledger has the number of when it was entered."""

    version: str


def release_key(pipeline: str, place: str, name: str) -> str:
    """The key of a file of a release."""
    return f"{pipeline}/releases/{place}/{name}"
