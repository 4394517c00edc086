"""Does the user's own function say yes?"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue, ValidationError

from contender.canonical import canonical_json
from contender.documents.scoreboard import GateAnswer, Scoreboard, Verdict
from contender.errors import ConfigError
from contender.frozen import ImportPath
from contender.judge.gates.base import Gate, GateEvidence
from contender.telling import raised
from contender.usercode import import_path
from contender.words import metric_label

if TYPE_CHECKING:
    from contender.spec.pipeline import PipelineSpec


class CustomGate(Gate):
    """Does the user's own function say yes? It is called with a ``contender.GateEvidence`` and the arguments."""

    kind: Literal["custom"]
    function: ImportPath = Field(examples=["mypkg.gates.enough_profit"], description="The function, by import path")
    arguments: dict[str, JsonValue] = Field({}, description="What it is called with besides the evidence")

    @property
    def label(self) -> str:
        """The gate as people read it; also the name of its verdict."""
        arguments = ", ".join(f"{name}={str(value)[:60]}" for name, value in self.arguments.items())
        return f"{metric_label(self.function)}({arguments[:300]})"

    def question(self, spec: PipelineSpec) -> str:
        """What is asked, as a sentence for ``contender check``."""
        del spec
        return f"does {self.label} say yes?"

    @property
    def imports(self) -> tuple[str, ...]:
        """The function."""
        return (self.function,)

    def check_code(self, place: str) -> None:
        """See that the function can be imported and takes the evidence and these arguments.

        Raises:
            ConfigError: it cannot or does not, located.
        """
        function = import_path(self.function, f"{place}.function", kind="function")
        try:
            inspect.signature(function).bind(None, **self.arguments)
        except TypeError as error:
            msg = f"{place}.arguments: {self.function} cannot be called with the evidence and these arguments: {error}"
            raise ConfigError(msg) from None

    @property
    def key(self) -> str:
        """The key of its answer on the scoreboard: function and arguments, in full (``label`` is cut)."""
        return f"{self.function} {canonical_json(self.arguments).decode()}"

    def measure(self, evidence: GateEvidence, place: str) -> GateAnswer:
        """Call the function.

        Raises:
            ConfigError: it raised something, or returned no valid answer; located.
        """
        function = import_path(self.function, f"{place}.function", kind="function")
        try:
            given = function(evidence, **self.arguments)
        except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
            msg = f"{place}: {self.function} raised {raised(error)}"
            raise ConfigError(msg) from None
        if isinstance(given, GateAnswer):
            return given
        try:
            return GateAnswer.model_validate({name: _native(value) for name, value in dict(given).items()}, strict=True)
        except (TypeError, ValueError, ValidationError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else f"got a {type(given).__name__}"
            msg = (
                f"{place}: {self.function} gave no answer ({why}); expected a dict such as "
                "{'passed': False, 'reason': 'profit 310 is below 500', 'observed': 310.0, 'required': 500.0}, "
                "the last two if there are such numbers"
            )
            raise ConfigError(msg) from None

    def ask(self, board: Scoreboard) -> Verdict:
        """The function's stored answer; failed when there is none."""
        answer = board.answers.get(self.key)
        if answer is None:
            return Verdict(gate=self.label, status="failed", reason=f"{self.function} gave no answer")
        return answer.verdict(self.label)


def _native(value: Any) -> Any:
    """A NumPy scalar as a Python value: a comparison of NumPy numbers is a ``numpy.bool``, which is no ``bool``."""
    return value.item() if hasattr(value, "item") else value
