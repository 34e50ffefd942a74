"""``backbone doctor``: each dependency is a command of its own, with the environment of a service
that uses it.
"""

import click

from backbone.lazy_group import LazyGroup

# The modules of services are named, never imported, until they are called.
COMMANDS = {
    "antivirus": "services.documents.doctor.antivirus",
    "database": "backbone.doctor.database",
    "events": "backbone.doctor.events",
    "realm": "backbone.doctor.realm",
    "storage": "services.documents.doctor.cli",
}


@click.group(cls=LazyGroup, commands_of=COMMANDS)
def doctor() -> None:
    """Try what the backbone needs of a dependency, and say how to mend what is missing.

    Exits with 1 when something that is needed is missing.
    """
