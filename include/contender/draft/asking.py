"""What ``contender init`` reports and asks. The answers are passed in, so that a terminal, a script or a test can give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: Takes a question, the possible answers and the safer one of them, which is the default; returns an answer.
Ask = Callable[[str, Sequence[str], str], str]


def take_the_safer(question: str, answers: Sequence[str], safer: str) -> str:
    """Answer without a user: take the default."""
    del question, answers
    return safer


@dataclass
class Talk:
    """The conversation: findings, questions and answers, in order."""

    ask: Ask = take_the_safer
    seen: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Report a finding or a decision."""
        self.seen.append(sentence)

    def choose(self, question: str, answers: Sequence[str], *, safer: str) -> str:
        """Ask what the data leave open; question and answer are reported, too."""
        answer = self.ask(question, answers, safer)
        self.say(f"{question} {answer}")
        return answer
