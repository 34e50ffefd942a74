"""Settings, from the environment alone (twelve-factor, III): ``BACKBONE_<GROUP>_<NAME>``.

Each group is loaded by the part that needs it, so a service asks for nothing it does not use.
"""

from pathlib import Path
from typing import TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "BACKBONE_"
Group = TypeVar("Group", bound=BaseSettings)


class ConfigurationError(Exception):
    """A setting is missing or wrong; the message names the variable and the mend."""


def load(group: type[Group]) -> Group:
    """Reads a group of settings.

    Raises:
        ConfigurationError: names every variable at fault, never its value.
    """
    try:
        return group()
    except ValidationError as error:
        prefix = group.model_config.get("env_prefix", PREFIX)
        faults = "; ".join(
            f"{prefix}{'_'.join(str(part) for part in item['loc'])}".upper() + f": {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"cannot start: {faults}") from None


class ServerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX)

    grpc_listen: str = Field(default="127.0.0.1:50051", description="host:port of the gRPC server")
    ops_listen: str = Field(default="127.0.0.1:9464", description="/livez, /readyz, /metrics")
    grpc_workers: int = Field(default=64, ge=1, description="calls that run at the same time")
    grpc_streams: int = Field(default=512, ge=0, description="long streams on top of the workers")
    stop_timeout: float = Field(default=25.0, gt=0, description="seconds to finish what runs")
    memory_arenas: int = Field(default=2, ge=0, description="of glibc; 0: as many as it likes")


class RealmSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX)

    issuer: str = Field(description="the realm's issuer URL, as in the tokens' `iss`")
    jwks_url: str = Field(default="", description="where its keys are; empty: by discovery")
    audience: str = "backbone"
    token_leeway: int = Field(default=5, ge=0, le=60, description="seconds of clock difference")
    token_lifetime: int = Field(
        default=3600,
        ge=60,
        le=43_200,
        description="seconds that a token may live: one that lives longer is refused, and what"
        " has ended is remembered for as long",
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000", description="what a DPoP proof's `htu` begins with"
    )

    @property
    def server_and_realm(self) -> tuple[str, str]:
        """Keycloak's base URL and the realm's name, which python-keycloak wants apart."""
        server, _, name = self.issuer.rpartition("/realms/")
        return server, name


class ClientSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}CLIENT_")

    id: str
    secret: SecretStr


class DatabaseSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}DATABASE_")

    url: SecretStr = Field(description="postgresql+psycopg://role:password@host:port/database")
    pool_size: int = Field(default=20, ge=1)


class KafkaSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}KAFKA_")

    bootstrap: str
    username: str
    password: SecretStr
    security_protocol: str = "SASL_PLAINTEXT"
    cafile: Path | None = None
    partitions: int = Field(default=6, ge=1, description="of the topics that are created")
    replication: int = Field(default=1, ge=1)


class EventSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX)

    public_url: str = Field(
        default="http://127.0.0.1:8000", description="the gateway, as the outside world calls it"
    )
    event_attempts: int = Field(
        default=12, ge=1, description="of a parked event, before it is dead"
    )
    event_pause: float = Field(default=0.5, gt=0, description="seconds before the second attempt")
    outbox_limit: int = Field(
        default=1_000_000, ge=1, description="events that may wait for Kafka; more are refused"
    )


class TelemetrySettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX)

    otlp_endpoint: str = Field(default="", description="OTLP/HTTP base URL; empty: no traces")
    trace_ratio: float = Field(default=0.05, ge=0, le=1, description="of traces that start here")
    log_level: str = "INFO"
