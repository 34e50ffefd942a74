"""Accesses to a person's data by somebody else: what the service that gives it publishes.

In the transaction that allows the access, before anything is given: an access that cannot be
recorded is refused with it. Identity keeps them (`GET /v1/me/journal`).
"""

from datetime import UTC, datetime

from administration.identity.v1 import events_pb2, journal_pb2

from backbone.acting import Acting
from backbone.tokens import Caller


def accessed(
    caller: Caller,
    person_id: str,
    action: str,
    resource: tuple[str, str],
    grounds: tuple[journal_pb2.Grounds.ValueType, str],
    administration: str = "",
) -> events_pb2.PersonalDataAccessed:
    """The event of an access. `resource` is a type and an identifier, `grounds` a kind and the
    identifier of what allowed it; `administration` where it is not the caller's own.
    """
    event = events_pb2.PersonalDataAccessed(
        person_id=person_id,
        actor_id=caller.subject,
        actor_kind=actor_kind(caller),
        administration=administration or caller.administration,
    )
    return _now(event, action, resource, grounds)


def represented(
    acting: Acting, action: str, resource: tuple[str, str]
) -> events_pb2.PersonalDataAccessed:
    """The event of what was done for another, by mandate: a person, whatever else their token says
    they are.
    """
    event = events_pb2.PersonalDataAccessed(
        person_id=acting.principal_id,
        actor_id=acting.actor.subject,
        actor_kind=journal_pb2.ACTOR_KIND_PERSON,
    )
    grounds = (journal_pb2.GROUNDS_MANDATE, acting.mandate_id)
    return _now(event, action, resource, grounds)


def _now(
    event: events_pb2.PersonalDataAccessed,
    action: str,
    resource: tuple[str, str],
    grounds: tuple[journal_pb2.Grounds.ValueType, str],
) -> events_pb2.PersonalDataAccessed:
    event.action = action
    event.resource_type, event.resource_id = resource
    event.grounds, event.grounds_id = grounds
    event.access_time.FromDatetime(datetime.now(UTC))
    return event


def actor_kind(caller: Caller) -> journal_pb2.ActorKind.ValueType:
    """As what a caller acts: a token may carry several roles, and the strongest one tells."""
    if "partner" in caller.roles:
        return journal_pb2.ACTOR_KIND_PARTNER
    if "service" in caller.roles:
        return journal_pb2.ACTOR_KIND_SERVICE
    if "admin" in caller.roles:
        return journal_pb2.ACTOR_KIND_ADMINISTRATOR
    if caller.administration:
        return journal_pb2.ACTOR_KIND_AGENT
    return journal_pb2.ACTOR_KIND_PERSON
