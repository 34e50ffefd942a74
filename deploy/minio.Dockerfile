# MinIO's server, built from its last published source: its images and downloads are withdrawn, the Go module is not.
# AGPL-3.0, unmodified, a program of its own. Development only: it gets no more corrections.
FROM golang:1.26-alpine AS build
# The very version of the local stack (deploy/local/programs.py).
ARG MINIO_VERSION=v0.0.0-20260212201848-7aac2a2c5b7c
RUN CGO_ENABLED=0 GOBIN=/out go install -trimpath -ldflags "-s -w" github.com/minio/minio@${MINIO_VERSION}

FROM alpine:3.22
COPY --from=build /out/minio /usr/local/bin/minio
RUN adduser -D -H -u 10002 minio && mkdir /data && chown minio:minio /data
USER minio
VOLUME /data
EXPOSE 9000
ENTRYPOINT ["minio"]
CMD ["server", "--quiet", "--address", ":9000", "/data"]
