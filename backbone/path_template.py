"""Path templates of ``google.api.http`` (google/api/http.proto), compiled to regular expressions.

Template = "/" Segments [ ":" LITERAL ] ;
Segment  = "*" | "**" | LITERAL | "{" FieldPath [ "=" Segments ] "}" ;
"""

import re
from dataclasses import dataclass

from backbone.contracts import ContractError

_VARIABLE = re.compile(r"\{([A-Za-z_][\w.]*)(?:=([^{}]+))?\}")
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()+,;@%-]+")


@dataclass(frozen=True)
class PathTemplate:
    """A compiled template.

    `pattern` matches a raw (percent-encoded) path and captures one group per variable, in the
    order of `variables` (field paths). `rank` sorts the more specific template first.
    `multi_segment` names the variables that may span several segments.
    """

    text: str
    pattern: re.Pattern[str]
    variables: tuple[str, ...]
    multi_segment: frozenset[str]
    rank: tuple[int, ...]


def parse(text: str) -> PathTemplate:
    """Compiles `text`.

    Raises:
        ContractError: it does not follow the grammar.
    """
    if not text.startswith("/"):
        raise ContractError(f"path template {text!r}: it has to start with a slash")
    path, verb = _split_verb(text)
    variables: list[str] = []
    multi: set[str] = set()
    regex, ranks = "", []
    position = 1
    while position <= len(path):
        variable = _VARIABLE.match(path, position)
        if variable:
            name, segments = variable[1], variable[2] or "*"
            inner, inner_ranks = _segments(segments, text)
            if name in variables:
                raise ContractError(f"path template {text!r}: {name} is bound twice")
            variables.append(name)
            if len(inner_ranks) > 1 or inner_ranks == [2]:
                multi.add(name)
            regex += f"/({inner})"
            ranks += inner_ranks
            position = variable.end()
        else:
            end = path.find("/", position)
            end = len(path) if end < 0 else end
            inner, inner_ranks = _segments(path[position:end], text)
            regex += f"/{inner}"
            ranks += inner_ranks
            position = end
        if position < len(path) and path[position] != "/":
            raise ContractError(f"path template {text!r}: a slash is missing at {position}")
        position += 1
    if 2 in ranks[:-1]:
        raise ContractError(f"path template {text!r}: ** has to come last")
    if verb:
        regex += re.escape(f":{verb}")
    return PathTemplate(
        text, re.compile(regex), tuple(variables), frozenset(multi), (0 if verb else 1, *ranks)
    )


def _split_verb(text: str) -> tuple[str, str]:
    """A verb is what follows a colon outside of braces, in the last segment."""
    tail = max(text.rfind("}"), text.rfind("/"))
    colon = text.find(":", tail)
    if colon < 0:
        return text, ""
    verb = text[colon + 1 :]
    if not _LITERAL.fullmatch(verb):
        raise ContractError(f"path template {text!r}: {verb!r} is not a verb")
    return text[:colon], verb


def _segments(text: str, template: str) -> tuple[str, list[int]]:
    parts, ranks = [], []
    for item in text.split("/"):
        if item == "**":
            parts.append(".+")
            ranks.append(2)
        elif item == "*":
            parts.append("[^/]+")
            ranks.append(1)
        elif _LITERAL.fullmatch(item):
            parts.append(re.escape(item))
            ranks.append(0)
        else:
            raise ContractError(f"path template {template!r}: {item!r} is not a segment")
    return "/".join(parts), ranks
