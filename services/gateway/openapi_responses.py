"""What every operation of the OpenAPI document has in common: refusals and how to sign in."""

import re
from typing import Any

from administration.options.v1 import options_pb2

from backbone.errors import DomainError
from backbone.tokens import LEVELS
from services.gateway.settings import GatewaySettings

Schema = dict[str, Any]

PROBLEM: Schema = {
    "type": "object",
    "title": "Problem",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail", "reason"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "reason": {"type": "string", "description": "A stable word that programs match on."},
        "trace_id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "acr_values": {
            "type": "string",
            "description": "With INSUFFICIENT_USER_AUTHENTICATION: the level to sign in with.",
        },
        "max_age": {
            "type": "string",
            "description": "With the same: how many seconds ago the sign-in may be, at most.",
        },
        "retry_after": {"type": "string", "description": "Seconds, as in Retry-After."},
        "limit": {"type": "string", "description": "With QUOTA_EXCEEDED: what there may be."},
        "used": {"type": "string", "description": "With the same: what it would be."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "reason", "detail"],
                "properties": {
                    "field": {
                        "type": "string",
                        "description": "Path in the body, or name of the parameter or header.",
                    },
                    "reason": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
_TITLES = {
    400: "The request is malformed, or a field is at fault.",
    401: "There is no valid token.",
    403: "The caller may not do this: `reason` says why.",
    413: "The body is too large.",
    415: "The body has another media type.",
}
_SCHEME = "bearer"
CHALLENGE = (
    "RFC 6750. For a token that is bound to a key, or a proof at fault, its scheme is DPoP (RFC"
    ' 9449, section 7.1). `error="insufficient_user_authentication"` names in `acr_values` and'
    " `max_age` how to sign the person in again (RFC 9470)."
)


def problem(description: str) -> Schema:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": description, "content": content, "headers": TRACE}


TRACE: Schema = {
    "traceparent": {
        "description": "The request's trace (W3C Trace Context).",
        "schema": {"type": "string"},
    }
}


def refusals(comment: str, *, public: bool, body: bool) -> dict[str, Schema]:
    """The refusals of an operation: those of every one, and the codes that its comment names."""
    titles = {400: _TITLES[400]}
    if not public:
        titles |= {401: _TITLES[401], 403: _TITLES[403]}
    if body:
        titles |= {413: _TITLES[413], 415: _TITLES[415]}
    _, _, errors = comment.partition("Errors:")
    for code in re.findall(r"[A-Z][A-Z_]{5,}", errors):
        for error in _leaves(DomainError):
            if error.code.name == code and code != "OUT_OF_RANGE":
                titles.setdefault(error.status, f"{error.title}.")
    responses = {str(status): problem(title) for status, title in sorted(titles.items())}
    if "401" in responses:
        responses["401"]["headers"] = {
            **TRACE,
            "WWW-Authenticate": {"description": CHALLENGE, "schema": {"type": "string"}},
        }
    responses["default"] = problem("Any other refusal or failure.")
    return responses


def step_up_of(rule: options_pb2.AccessRule) -> Schema:
    """What an access rule asks of the sign-in beyond a role; empty when nothing."""
    asked: Schema = {}
    if rule.level:
        asked["acr_values"] = next(name for name, level in LEVELS.items() if level == rule.level)
    if rule.max_age_seconds:
        asked["max_age"] = rule.max_age_seconds
    return asked


def told(step_up: Schema) -> str:
    """The same in words."""
    words = [f"{name} {value}" for name, value in step_up.items()]
    return (
        f"Needs a sign-in with {' and '.join(words)}; else 401 with"
        " `insufficient_user_authentication` (RFC 9470)."
    )


def _leaves(error: type[DomainError]) -> list[type[DomainError]]:
    # The gateway's own subclasses say nothing about what a service refuses.
    return [item for item in error.__subclasses__() if item.__module__ == error.__module__]


def security_scheme(settings: GatewaySettings) -> dict[str, Schema]:
    """How to get a token: by the realm's discovery document where there is a realm."""
    if settings.issuer:
        discovery = f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        return {_SCHEME: {"type": "openIdConnect", "openIdConnectUrl": discovery}}
    return {_SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}


SECURITY = [{_SCHEME: list[str]()}]
