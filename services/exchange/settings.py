"""What an operator sets about feeds and webhooks."""

from ipaddress import ip_network
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backbone.settings import PREFIX

# With the first one, thirteen tries over 22 h 40 min.
PAUSES = (5, 15, 60, 120, 300, 600, 1200, 2400, 4800, 9600, 19200, 43200)


class FeedSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}FEED_")

    retention_days: float = Field(default=30, gt=0, description="how long an event can be read")


class WebhookSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}WEBHOOK_")

    pauses: Annotated[tuple[float, ...], NoDecode] = Field(
        default=PAUSES, description="seconds between tries, separated by commas"
    )
    timeout: float = Field(default=10.0, gt=0, description="seconds that one call may take")
    calls: int = Field(default=32, ge=1, description="at the same time, by each process")
    client_calls: int = Field(default=4, ge=1, description="of them for one client")
    client_webhooks: int = Field(default=20, ge=1, description="that one client may have")
    allow_http: bool = Field(default=False, description="for development alone")
    allowed_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="not public, and called all the same; separated by commas"
    )

    @field_validator("pauses", "allowed_networks", mode="before")
    @classmethod
    def _comma_list(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(item.strip() for item in value.split(",") if item.strip())
        return value

    @field_validator("pauses")
    @classmethod
    def _not_negative(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(pause < 0 for pause in value):
            raise ValueError("a pause is not negative")
        return value

    @field_validator("allowed_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            ip_network(text)
        return value

    @property
    def lease_seconds(self) -> float:
        """How long a webhook is nobody else's: more than a call can take, a slow name included."""
        return 2 * self.timeout + 10
