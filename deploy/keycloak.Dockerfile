# Keycloak with the development realm, built for PostgreSQL so that it starts in seconds.
ARG KEYCLOAK=keycloak/keycloak:26.7.3

# The realm as code, development.json over realm.json. Its ${BACKBONE_…} stay: Keycloak fills them from its environment.
FROM python:3.13-slim AS realm
WORKDIR /src
COPY deploy/keycloak deploy/keycloak
RUN python -c "import json; from deploy.keycloak import FOLDER, merge; \
base, overlay = (json.loads((FOLDER / name).read_text()) for name in ('realm.json', 'development.json')); \
print(json.dumps(merge(base, overlay), ensure_ascii=False))" > /administration-realm.json

FROM ${KEYCLOAK}
ENV KC_DB=postgres KC_HEALTH_ENABLED=true KC_METRICS_ENABLED=true
RUN /opt/keycloak/bin/kc.sh build
COPY --from=realm /administration-realm.json /opt/keycloak/data/import/administration-realm.json
CMD ["start", "--optimized", "--import-realm"]
