"""What an operator sets about the gateway, by environment (prefix ``BACKBONE_``)."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backbone.contracts import SERVICES
from backbone.settings import PREFIX


class GatewaySettings(BaseSettings):
    """The gateway's configuration.

    Raises:
        pydantic.ValidationError: a value is missing or malformed; it names each variable.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    # Where HTTP is served, `host:port`; port 0 takes a free one.
    http_listen: str = Field(default="127.0.0.1:8000", pattern=r"^.+:\d{1,5}$")
    # Several processes of one host share the port (SO_REUSEPORT).
    http_reuse_port: bool = False
    # How clients reach the gateway: the OpenAPI document's server. With https, HSTS is sent.
    public_url: str = "http://127.0.0.1:8000"

    identity_address: str
    documents_address: str
    notifications_address: str
    exchange_address: str

    # The realm's issuer URL, for the OpenAPI document; empty when there is none.
    issuer: str = ""
    # Origins (RFC 6454) whose scripts may read responses; empty means none.
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()

    # Largest JSON body.
    max_body_bytes: int = Field(default=1024 * 1024, gt=0)
    # Seconds that a call to a backend may take.
    call_timeout: float = Field(default=10.0, gt=0)
    # Seconds that the upload or download of a document may take.
    transfer_timeout: float = Field(default=300.0, gt=0)
    # Seconds that requests in flight are given to finish when the gateway stops.
    stop_timeout: float = Field(default=25.0, gt=0)

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _comma_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(item.strip() for item in value.split(",") if item.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _exact_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            scheme, separator, host = origin.partition("://")
            if (
                not separator
                or scheme not in {"http", "https"}
                or not host
                or set(host) & set("/*")
            ):
                raise ValueError(
                    f"{origin!r} is not an origin: scheme and host, no path and no wildcard"
                )
        return value

    @property
    def addresses(self) -> dict[str, str]:
        """Where each area's service answers gRPC."""
        return {area: getattr(self, f"{area}_address") for area in SERVICES}

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.http_listen.rpartition(":")
        return host.strip("[]"), int(port)
