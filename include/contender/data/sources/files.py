"""What the sources that read files have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from contender.data.reading.connections import Connect, from_environment
from contender.data.reading.places import Place, checked, place_of, variables
from contender.data.sources.base import Source
from contender.errors import ConfigError, one_line

if TYPE_CHECKING:
    from contender.data.reading.files import Files


class FileSource(Source):
    """Files below a uri. A trigger may change the uri where the pipeline declares the folders it must stay in.

    Attributes:
        suffix: the ending of the files that a folder is searched for, without its dot.
    """

    location_fields: ClassVar[frozenset[str]] = frozenset({"uri", "conn_id", "roots"})
    suffix: ClassVar[str]
    uri: str = Field(
        min_length=1,
        max_length=1_000,
        title="Data path",
        description="A file, a folder or a glob, local or s3://bucket/prefix; ${NAME} is taken from the environment",
    )
    _uri_can_be_read = field_validator("uri")(checked)
    conn_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_.-]{1,200}$",
        description="An Airflow connection of type aws, for s3:// uris; absent: the environment's own credentials",
    )
    roots: tuple[str, ...] = Field(
        (), description="Folders that all files must lie in, links followed; needed to make uri overridable"
    )

    @property
    def location(self) -> str:
        """The uri as declared."""
        return self.uri

    def limits(self, name: str) -> dict[str, Any]:
        """A trigger's uri lies below the roots, or is empty and stays as it is."""
        if name != "uri":
            return super().limits(name)
        if not self.roots:
            msg = "it would let a trigger read from anywhere; a file source can say below which folders: roots: [/data/churn]"
            raise ValueError(msg)
        where = f"A file, a folder or a glob below {' or '.join(self.roots)}; empty: as the pipeline says"
        return {"type": ["string", "null"], "description": where}

    def check_override(self, name: str, value: Any) -> None:
        """Refuse a uri outside the roots, and one that reads an environment variable that the pipeline does not name."""
        self.limits(name)
        if name != "uri":
            return
        if not variables(self.uri, *self.roots).issuperset(variables(value)):
            msg = "names an environment variable that the pipeline itself does not use; write the path out"
            raise ValueError(msg)
        try:
            place = place_of(value)
            inside = any(place.inside(root) for root in self._roots())
        except ConfigError as error:
            raise ValueError(str(error).removeprefix("data.source.uri: ")) from None
        except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that the file system does not allow
            inside = False
        if not inside:
            msg = (
                f"{one_line(value)!r} is outside the roots {list(self.roots)}; name an absolute path below one of them"
            )
            raise ValueError(msg)

    def files(self, connect: Connect = from_environment) -> Files:
        """The files behind the uri.

        Raises:
            ConfigError: the uri is outside the roots, or its connection cannot be used.
        """
        from contender.data.reading.files import open_files

        return open_files(place_of(self.uri), self.suffix, self._roots(), self.conn_id, connect)

    def _roots(self) -> list[Place]:
        return [place_of(root) for root in self.roots]
