"""The components of the local stack: this table is the only place that declares them."""

import sys
from functools import partial

from deploy.local import authority, clamav, kafka, keycloak, minio, postgres, services
from deploy.local.component import Component
from deploy.local.paths import MAILBOX
from deploy.local.probes import http_ok, smtp_ok
from deploy.local.programs import KAFKA, KEYCLOAK, MINIO
from deploy.local.site import HOST, Site


def components(site: Site) -> list[Component]:
    """Every component, each after those it needs."""
    return [
        Component(
            name="postgres",
            prepare=partial(postgres.prepare, site),
            command=postgres.command(site),
            healthy=partial(postgres.healthy, site),
            provision=partial(postgres.provision, site),
            ports=("postgres",),
            # PostgreSQL's "fast" shutdown: TERM would wait for every client to leave.
            stop_signal="INT",
        ),
        Component(
            name="mailbox",
            prepare=partial(MAILBOX.parent.mkdir, parents=True, exist_ok=True),
            # -n: stay the user that we are
            command=(
                sys.executable,
                "-m",
                "aiosmtpd",
                "-n",
                "-l",
                site.address("smtp"),
                "-c",
                "aiosmtpd.handlers.Mailbox",
                str(MAILBOX),
            ),
            healthy=smtp_ok(HOST, site.ports["smtp"]),
            ports=("smtp",),
        ),
        Component(
            name="collector",
            command=(
                sys.executable,
                "-m",
                "deploy.local.collector",
                "--port",
                str(site.ports["collector"]),
            ),
            healthy=http_ok(site.url("collector", "/healthz")),
            ports=("collector",),
        ),
        Component(
            name="authority",
            prepare=authority.prepare,
            command=(
                sys.executable,
                "-m",
                "deploy.local.authority",
                "--port",
                str(site.ports["authority"]),
            ),
            healthy=http_ok(site.url("authority", "/healthz")),
            ports=("authority",),
        ),
        Component(
            name="clamav",
            program=clamav.program(),
            prepare=partial(clamav.prepare, site),
            command=clamav.command(),
            environment=clamav.environment(),
            healthy=partial(clamav.healthy, site),
            ports=("clamd",),
        ),
        Component(
            name="minio",
            program=MINIO,
            prepare=minio.prepare,
            command=minio.command(site),
            environment=minio.environment(site),
            healthy=partial(minio.healthy, site),
            provision=partial(minio.provision, site),
            ports=("minio",),
        ),
        Component(
            name="keycloak",
            after=("postgres",),
            program=KEYCLOAK,
            prepare=partial(keycloak.prepare, site),
            command=keycloak.command(),
            environment=keycloak.environment(site),
            healthy=http_ok(f"{site.issuer}/.well-known/openid-configuration"),
            provision=partial(keycloak.provision, site),
            ports=("keycloak", "keycloak_management"),
            patience=180,  # the first time, it makes its tables
        ),
        Component(
            name="kafka",
            after=(
                "keycloak",
            ),  # the broker fetches the realm's keys while it starts, or does not start
            program=KAFKA,
            prepare=partial(kafka.prepare, site),
            command=kafka.command(site),
            healthy=partial(kafka.healthy, site),
            ports=("kafka", "kafka_partners", "kafka_controller"),
            patience=180,  # after it was killed, it reads its logs again
        ),
        Component(
            name="migrations",
            after=("postgres",),
            prepare=partial(services.migrate, site),
            service=True,
        ),
        Component(
            name="topics",
            after=("kafka",),
            prepare=partial(services.apply_topics, site),
            service=True,
        ),
        *(
            Component(
                name=name,
                after=("migrations", "topics", "minio", "mailbox", "authority", "clamav"),
                command=services.command(name),
                environment=services.environment(site, name),
                healthy=http_ok(site.url(f"{name}_ops", "/readyz")),
                ports=(name, f"{name}_ops"),
                service=True,
            )
            for name in (*services.SERVICES, services.GATEWAY)
        ),
    ]
