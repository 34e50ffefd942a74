"""What identity holds about a person, in files of records."""

from collections.abc import Iterable, Mapping

from google.protobuf.message import Message
from sqlalchemy.orm import Session

from backbone.personal_data import Reader
from services.identity.accounts import Accounts, to_proto
from services.identity.consents import Consents
from services.identity.levels import Levels
from services.identity.mandates import Mandates
from services.identity.realm_log import sign_ins

PAGE_SIZE = 200
Records = tuple[Iterable[Message], str]


def held(session: Session, account_id: str) -> Mapping[str, Reader]:
    """The files of one person, within one transaction."""

    def account(_: str) -> Records:
        found = Accounts(session).find(account_id)
        return ([to_proto(found)] if found else []), ""

    def consents(page_token: str) -> Records:
        rows, following = Consents(session, account_id).page(PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    def mandates(page_token: str) -> Records:
        rows, following = Mandates(session).page(account_id, PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    def levels(page_token: str) -> Records:
        rows, following = Levels(session, account_id).page(PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    def logins(page_token: str) -> Records:
        rows, following = sign_ins(session, account_id, PAGE_SIZE, page_token)
        return [row.to_proto() for row in rows], following

    return {
        "account": account,
        "consents": consents,
        "mandates": mandates,
        "levels": levels,
        "sign-ins": logins,
    }
