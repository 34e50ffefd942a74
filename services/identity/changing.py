"""What a person changes of their own account: their language, and how they are reached."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from administration.identity.v1 import identity_pb2

from backbone import masks
from backbone.errors import InvalidInput
from services.identity.domain.contact import PostalAddress, phone_number

FIELDS = ("locale", "phone_number", "postal_address")


@dataclass(frozen=True, slots=True)
class Changes:
    """An empty `locale` stays as it is, and so do the columns of the account that are not there."""

    locale: str
    columns: Mapping[str, str] = field(repr=False)

    @classmethod
    def asked(cls, request: identity_pb2.UpdateMeRequest) -> "Changes":
        """Raises:
        InvalidInput: a field breaks its rule, or the mask names what cannot be changed.
        """
        wanted = masks.wanted(request, FIELDS)
        if "locale" in wanted and not request.locale:
            raise InvalidInput.field("locale", "REQUIRED", "is required")
        columns: dict[str, str] = {}
        if "phone_number" in wanted:
            columns["phone_number"] = phone_number(request.phone_number)
        if "postal_address" in wanted:
            columns |= asdict(_postal_address(request))
        return cls(request.locale if "locale" in wanted else "", columns)


def _postal_address(request: identity_pb2.UpdateMeRequest) -> PostalAddress:
    if not request.HasField("postal_address"):
        return PostalAddress()
    said = request.postal_address
    return PostalAddress.stated(said.street_address, said.postal_code, said.locality, said.country)
