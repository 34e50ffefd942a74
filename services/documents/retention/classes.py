"""Classes of retention as code: a file, read strictly when the service starts."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from administration.documents.v1 import retention_pb2
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.errors import InvalidInput
from backbone.settings import PREFIX, load
from services.documents import s3
from services.documents.domain.retention import Disposition, Duration, RetentionClass
from services.documents.store import S3Store

DEFAULT = Path(__file__).with_name("classes.toml")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
MAX_NAME = 63


class _Entry(BaseModel):
    """A table of the file."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(min_length=1, max_length=200)
    duration: str
    basis: str = Field(min_length=1, max_length=300)
    disposition: Disposition

    @field_validator("duration")
    @classmethod
    def _is_one(cls, value: str) -> str:
        return Duration.parse(value).text

    @field_validator("disposition", mode="before")
    @classmethod
    def _in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("title", "basis")
    @classmethod
    def _is_a_line(cls, value: str) -> str:
        if not value.isprintable() or value != value.strip():
            raise ValueError("must be one line, without spaces around it")
        return value


_FILE = TypeAdapter(dict[str, _Entry])


class Classes:
    """The classes that documents can have."""

    def __init__(self, classes: Mapping[str, RetentionClass]) -> None:
        self._classes = dict(classes)

    def __iter__(self) -> Iterator[RetentionClass]:
        return iter(self._classes.values())

    def get(self, name: str) -> RetentionClass:
        """Raises:
        InvalidInput: there is none of that name.
        """
        found = self._classes.get(name)
        if found is None:
            known = ", ".join(self._classes)
            raise InvalidInput.field("retention_class", "UNKNOWN", f"must be one of: {known}")
        return found

    def find(self, name: str) -> RetentionClass | None:
        """The class of a document; None for none, and for one that the file has no longer."""
        return self._classes.get(name)

    def disposition(self, name: str) -> Disposition:
        """What follows for documents of a class. One that is unknown destroys nothing by itself."""
        found = self._classes.get(name)
        return found.disposition if found else Disposition.REVIEW

    def destroying(self) -> list[str]:
        """The names of those whose documents are destroyed at their end."""
        return [each.name for each in self if each.disposition is Disposition.DESTROY]


def read(path: Path) -> Classes:
    """The classes of a file.

    Raises:
        ValueError: it cannot be read, or is not what it should be; names where, and the mend.
    """
    try:
        entries = _FILE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        words = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in faults)
        raise ValueError(f"{path}: {words}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    for name in entries:
        if not _NAME.fullmatch(name) or len(name) > MAX_NAME:
            raise ValueError(f"{path}: {name}: a name is of the form abc-1, at most {MAX_NAME}")
    return Classes(
        {
            name: RetentionClass(
                name, item.title, Duration.parse(item.duration), item.basis, item.disposition
            )
            for name, item in entries.items()
        }
    )


class RetentionSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}RETENTION_", validate_default=True)

    classes: Path = Field(default=DEFAULT, description="a file of classes, in TOML")
    trash_days: int = Field(default=30, ge=0, le=3650, description="from deletion to destruction")

    @field_validator("classes", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        # Compose passes what is not set as an empty text.
        return value or DEFAULT

    @field_validator("classes")
    @classmethod
    def _readable(cls, path: Path) -> Path:
        read(path)
        return path


def to_proto(item: RetentionClass) -> retention_pb2.RetentionClass:
    return retention_pb2.RetentionClass(
        retention_class=item.name,
        title=item.title,
        duration=item.duration.text,
        basis=item.basis,
        disposition=disposition(item.disposition),
    )


def disposition(word: Disposition) -> retention_pb2.Disposition.ValueType:
    return retention_pb2.Disposition.Value(f"DISPOSITION_{word}")


class Rules:
    """For how long things are kept."""

    def __init__(self, classes: Classes, trash: timedelta) -> None:
        self.classes, self.trash = classes, trash


class Retention(DependencyProvider):  # type: ignore[misc]
    """Injects the `Rules`. With classes, a bucket without object lock stops the service."""

    def setup(self) -> None:
        settings = load(RetentionSettings)
        classes = read(settings.classes)
        if any(classes):
            store = S3Store(load(s3.StorageSettings))
            store.ensure_bucket()
            store.require_lock()
        self._rules = Rules(classes, timedelta(days=settings.trash_days))

    def get_dependency(self, worker_ctx: WorkerContext) -> Rules:
        return self._rules
