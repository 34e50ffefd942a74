# Keycloak with the development realm, built for PostgreSQL so that it starts in seconds.
ARG KEYCLOAK=keycloak/keycloak:26.7.3

# The realm as code, development.json over realm.json. Its ${BACKBONE_…} stay: Keycloak fills them from its environment.
FROM python:3.13-slim AS realm
WORKDIR /src
COPY backbone/__init__.py backbone/
COPY backbone/realm/__init__.py backbone/realm/code.py backbone/realm/
COPY deploy/keycloak deploy/keycloak
RUN python -c "import json; from backbone.realm.code import importable, read; from deploy.keycloak import FOLDER, DEVELOPMENT; \
print(json.dumps(importable(read(FOLDER, (DEVELOPMENT,))), ensure_ascii=False))" > /administration-realm.json

FROM ${KEYCLOAK}
ENV KC_DB=postgres KC_HEALTH_ENABLED=true KC_METRICS_ENABLED=true
RUN /opt/keycloak/bin/kc.sh build
COPY --from=realm /administration-realm.json /opt/keycloak/data/import/administration-realm.json
CMD ["start", "--optimized", "--import-realm"]
