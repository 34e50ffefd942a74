"""Whether the owner of a document consents that an administration receives it."""

import logging
import uuid
from typing import Protocol

import grpc
from administration.identity.v1 import consents_pb2

from backbone.errors import Unavailable
from services.documents.domain.sharing import CONSENT_SCOPE

log = logging.getLogger(__name__)


class Identity(Protocol):
    """What is asked of identity."""

    def check_consent(
        self, request: consents_pb2.CheckConsentRequest
    ) -> consents_pb2.CheckConsentResponse:
        """Raises `grpc.RpcError` when the call fails."""


def check(
    identity: Identity, owner_id: uuid.UUID, administration: str
) -> consents_pb2.CheckConsentResponse:
    """What identity answers now. It is asked each time, as an answer that is kept could outlive its
    consent.

    Raises:
        Unavailable: identity does not answer, so nothing is given.
    """
    request = consents_pb2.CheckConsentRequest(
        account_id=str(owner_id), administration=administration, scope=CONSENT_SCOPE
    )
    try:
        return identity.check_consent(request)
    except grpc.RpcError as error:
        log.warning("a consent could not be checked: %s", type(error).__name__)
        raise Unavailable(
            "Whether the owner consents cannot be asked now.", reason="CONSENT_UNKNOWN"
        ) from error
