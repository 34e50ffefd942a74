"""The route table: what answers a method and a path."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from backbone.contracts import ContractError
from backbone.errors import InvalidInput
from backbone.path_template import PathTemplate, parse
from services.gateway.exchange import Exchange
from services.gateway.names import json_path
from services.gateway.problems import MethodNotAllowed, PathNotFound

Handler = Callable[[Exchange, tuple[str, ...]], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    """One way to reach a handler.

    `template` is as the OpenAPI document writes it; metrics and spans carry it, never the path.
    `rename` gives a field at fault its name over HTTP.
    """

    method: str
    path: PathTemplate
    handler: Handler
    rename: Callable[[str], str] = json_path
    template: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "template", display(self.path))


def display(path: PathTemplate) -> str:
    """A template as clients read it: ``/v1/documents/{documentId}``."""
    return re.sub(r"\{([\w.]+)[^}]*\}", lambda found: f"{{{json_path(found[1])}}}", path.text)


class RouteTable:
    """Finds the route of a request; the more specific template wins, in any order of `add`.

    HEAD is answered by the route of GET where none is its own (RFC 9110, section 9.3.2).
    """

    def __init__(self) -> None:
        self._static: dict[str, dict[str, Route]] = {}
        self._dynamic: list[tuple[PathTemplate, dict[str, Route]]] = []

    def add(self, route: Route) -> None:
        """Adds a route.

        Raises:
            ContractError: another one answers the same method and path.
        """
        if route.path.variables or "*" in route.path.text:
            methods = self._same_pattern(route.path)
        else:
            methods = self._static.setdefault(route.path.text, {})
        if route.method in methods:
            raise ContractError(f"{route.method} {route.path.text} is declared twice")
        methods[route.method] = route

    def _same_pattern(self, path: PathTemplate) -> dict[str, Route]:
        for template, methods in self._dynamic:
            if template.pattern == path.pattern:
                return methods
        methods = {}
        self._dynamic.append((path, methods))
        self._dynamic.sort(key=lambda entry: entry[0].rank)
        return methods

    def get(self, path: str, handler: Handler) -> None:
        """Adds the GET of a path without variables."""
        self.add(Route("GET", parse(path), handler))

    def routes(self) -> list[Route]:
        tables = [*self._static.values(), *(methods for _, methods in self._dynamic)]
        return [route for methods in tables for route in methods.values()]

    def match(self, method: str, path: str) -> tuple[Route, tuple[str, ...]]:
        """The route of a raw path, and its variables' values, decoded.

        Raises:
            PathNotFound: no template matches.
            MethodNotAllowed: one does, but not with this method.
            InvalidInput: a variable is not percent-encoded UTF-8.
        """
        methods = self._static.get(path)
        if methods is not None:
            found = methods.get(method) or (method == "HEAD" and methods.get("GET"))
            if found:
                return found, ()
        for template, candidates in self._dynamic:
            matched = template.pattern.fullmatch(path)
            if matched is not None:
                found = candidates.get(method) or (method == "HEAD" and candidates.get("GET"))
                if found:
                    return found, _decoded(matched.groups())
        allowed = self.allowed(path)
        if not allowed:
            raise PathNotFound("No resource has this path.")
        allow = ", ".join(allowed)
        raise MethodNotAllowed(
            f"This resource answers {allow}.", [(b"allow", allow.encode("ascii"))]
        )

    def allowed(self, path: str) -> list[str]:
        """The methods that a path answers; empty when it is unknown."""
        methods = set(self._static.get(path, ()))
        for template, candidates in self._dynamic:
            if template.pattern.fullmatch(path):
                methods.update(candidates)
        if not methods:
            return []
        if "GET" in methods:
            methods.add("HEAD")
        return sorted(methods | {"OPTIONS"})


def _decoded(values: tuple[str, ...]) -> tuple[str, ...]:
    if not any("%" in value for value in values):
        return values
    try:
        return tuple(unquote_to_bytes(value).decode("utf-8") for value in values)
    except UnicodeDecodeError:
        raise InvalidInput(
            "The path is not percent-encoded UTF-8.", reason="MALFORMED_PATH"
        ) from None
