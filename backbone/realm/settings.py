"""What `backbone realm` needs to know, beside the realm's address (`RealmSettings`)."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from backbone.settings import PREFIX


class RealmAdminSettings(BaseSettings):
    """Who may change the realm: a user, or a client with its secret, that is ``realm-admin``."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}REALM_ADMIN_")

    realm: str = Field(default="master", description="the realm that this administrator is of")
    client_id: str = "admin-cli"
    client_secret: SecretStr | None = None
    username: str = ""
    password: SecretStr | None = None


class RealmCodeSettings(BaseSettings):
    """Where the realm as code is, and which layers lie over its base."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}REALM_")

    folder: Path = Path("deploy/keycloak")
    layers: str = Field(default="", description="names, separated by commas: `upstream`")


def variables() -> Mapping[str, str]:
    """What stands for each `${BACKBONE_…}` of the realm's files: the environment."""
    source = EnvSettingsSource(RealmCodeSettings, case_sensitive=True)
    return {name: value for name, value in source.env_vars.items() if value is not None}
