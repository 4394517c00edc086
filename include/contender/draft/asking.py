"""What ``contender init`` says and asks while it looks. Passed in, so that a terminal, a script and a test can answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: question, possible answers, the safer one (which is what nobody's answer means); returns one of the answers.
Ask = Callable[[str, Sequence[str], str], str]


def take_the_safer(question: str, answers: Sequence[str], safer: str) -> str:
    """Nobody is there to ask."""
    del question, answers
    return safer


@dataclass
class Talk:
    """The conversation: what was seen, in order, and what was answered by whom."""

    ask: Ask = take_the_safer
    seen: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Something that was seen or decided."""
        self.seen.append(sentence)

    def choose(self, question: str, answers: Sequence[str], *, safer: str) -> str:
        """An answer to what the data leaves open; it becomes part of what was said."""
        answer = self.ask(question, answers, safer)
        self.say(f"{question} {answer}")
        return answer
