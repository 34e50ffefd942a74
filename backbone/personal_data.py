"""What a service holds about a person: told page by page, and erased (GDPR, articles 15 to 20).

A service tells its files of records, in their order; the pages of one come after those of the
other, so that whoever gathers them writes one file at a time and asks again for one page only.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from administration.identity.v1 import events_pb2
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from backbone import paging

# Gives the records of a page, by its token, and the token of the next one.
Reader = Callable[[str], tuple[Iterable[Message], str]]


class Page(NamedTuple):
    file: str
    # JSON, in the form that the HTTP interface gives.
    records: list[str]
    # Empty on the last page of the last file.
    next_page_token: str


def page(files: Mapping[str, Reader], page_token: str) -> Page:
    """The page that a token stands for; the first one of the first file for an empty token.

    Raises:
        InvalidInput: the token is none of ours.
    """
    names = list(files)
    number, inner = paging.position(page_token, int, str) or [0, ""]
    if not 0 <= int(number) < len(names):
        raise paging.foreign()
    name = names[int(number)]
    messages, following = files[name](str(inner))
    records = [MessageToJson(message, indent=None) for message in messages]
    if following:
        return Page(name, records, paging.token(int(number), following))
    last = int(number) + 1 == len(names)
    return Page(name, records, "" if last else paging.token(int(number) + 1, ""))


Item = events_pb2.PersonalDataErased.Item


def erased(
    service: str,
    started: events_pb2.ErasureStarted,
    counts: Mapping[str, int],
    others: Iterable[Item] = (),
) -> events_pb2.PersonalDataErased:
    """What a service answers when it has erased all that it could: how much, by kind; `others` are
    items that say more than that, such as what is retained, and why.
    """
    return events_pb2.PersonalDataErased(
        erasure_id=started.erasure_id,
        account_id=started.account_id,
        service=service,
        items=[*(Item(kind=kind, count=count) for kind, count in counts.items()), *others],
    )
