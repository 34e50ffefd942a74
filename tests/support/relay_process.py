"""``python -m tests.support.relay_process``: a relay alone in a process, until it is killed."""

from sqlalchemy import create_engine

from backbone.events.relay import Relay
from backbone.settings import DatabaseSettings, KafkaSettings, load

if __name__ == "__main__":
    Relay(create_engine(load(DatabaseSettings).url.get_secret_value()), load(KafkaSettings)).run()
