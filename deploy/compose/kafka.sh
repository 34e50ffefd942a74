#!/bin/bash
# Formats the data folder the first time, with the services' user in it, then serves.
set -eu
CONFIGURATION=${CONFIGURATION:-/etc/backbone/kafka.properties}
DATA=${DATA:-/var/lib/kafka/data}
if [ ! -f "$DATA/meta.properties" ]; then
  /opt/kafka/bin/kafka-storage.sh format --standalone --cluster-id "$(/opt/kafka/bin/kafka-storage.sh random-uuid)" \
    --config "$CONFIGURATION" --add-scram "SCRAM-SHA-512=[name=backbone,password=$BACKBONE_KAFKA_PASSWORD]"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$CONFIGURATION"
