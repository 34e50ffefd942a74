"""What a partner starts from: its configuration file, and a consumer in three languages."""

import shutil
import tempfile
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path

from backbone.partners import configuration
from backbone.partners.configuration import Configuration
from backbone.partners.partner import Partner, PartnerError
from backbone.partners.settings import PartnersSettings
from backbone.settings import RealmSettings

CONFIGURATION = "partner.env"
SAMPLES = (
    "README.md",
    "consumer.py",
    "consumer.js",
    "package.json",
    "PartnerConsumer.java",
    "pom.xml",
)


class Folder:
    """The folder ``<client>/`` under `parent`."""

    def __init__(self, parent: Path, realm: RealmSettings, kafka: PartnersSettings) -> None:
        self._parent = parent
        self._realm = realm
        self._kafka = kafka
        self.path: Path | None = None

    def write(self, partner: Partner, secret: str, granted: Sequence[str], *, again: bool) -> None:
        """Whole or not at all.

        Raises:
            PartnerError: the folder exists, or cannot be written.
        """
        path = self._parent / partner.client_id
        if path.exists() and not again:
            raise PartnerError(f"{path} exists: move it away, or choose another --out")
        written = self._configuration(partner, secret, granted).text()
        try:
            self._parent.mkdir(parents=True, exist_ok=True)
            # A temporary folder is private, and stays so under its final name.
            begun = Path(tempfile.mkdtemp(dir=self._parent, prefix=f".{partner.client_id}-"))
            try:
                self._fill(begun, written)
                if again:
                    shutil.rmtree(path, ignore_errors=True)
                begun.rename(path)
                self.path = path
            finally:
                shutil.rmtree(begun, ignore_errors=True)
        except OSError as error:
            raise PartnerError(f"{path} cannot be written: {error.strerror}") from error

    def remove(self) -> None:
        if self.path:
            shutil.rmtree(self.path, ignore_errors=True)

    def _fill(self, folder: Path, written: str) -> None:
        configuration.write(folder / CONFIGURATION, written)
        with as_file(files("backbone.partners") / "samples") as samples:
            for name in SAMPLES:
                shutil.copyfile(samples / name, folder / name)
        if self._kafka.cafile:
            shutil.copyfile(self._kafka.cafile, folder / self._kafka.cafile.name)

    def _configuration(
        self, partner: Partner, secret: str, granted: Sequence[str]
    ) -> Configuration:
        return Configuration(
            client_id=partner.client_id,
            client_secret=secret,
            administration=partner.administration,
            issuer=self._realm.issuer,
            token_url=f"{self._realm.issuer}/protocol/openid-connect/token",
            audience=self._realm.audience,
            kafka_bootstrap=self._kafka.bootstrap,
            kafka_security_protocol=self._kafka.security_protocol,
            kafka_cafile=self._kafka.cafile.name if self._kafka.cafile else "",
            topics=",".join(granted),
            group=f"{partner.client_id}.sample",
        )
