"""What `backbone partner` needs to know, beside Kafka (`KafkaSettings`) and the realm."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.settings import PREFIX


class KeycloakAdminSettings(BaseSettings):
    """A client of the realm that may manage clients: ``operator-tools`` of the realm as code."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}KEYCLOAK_ADMIN_")

    client_id: str = "operator-tools"
    client_secret: SecretStr


class PartnersSettings(BaseSettings):
    """How partners reach Kafka, and how much they may read."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}PARTNERS_")

    bootstrap: str = Field(description="host:port of the partners' listener, as they see it")
    security_protocol: Literal["SASL_SSL", "SASL_PLAINTEXT"] = "SASL_SSL"
    cafile: Path | None = Field(
        default=None, description="PEM of the listener's authority, where no public one signed it"
    )
    consumer_byte_rate: int = Field(
        default=2 * 1024 * 1024, ge=1024, description="bytes/s that each partner may read"
    )
