"""Dependencies that any service may want, beside the database, the events and the calls."""

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic_settings import BaseSettings

from backbone.settings import load


class Settings(DependencyProvider):  # type: ignore[misc]
    """Injects a service's own group of settings, read once when it starts."""

    def __init__(self, group: type[BaseSettings]) -> None:
        self.group = group

    def setup(self) -> None:
        self._settings = load(self.group)

    def get_dependency(self, worker_ctx: WorkerContext) -> BaseSettings:
        return self._settings
