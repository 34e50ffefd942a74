{{/* The name of an object: of the release, or of one part of it (list $ "identity"). */}}
{{- define "backbone.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "backbone.name" -}}
{{- $ := index . 0 -}}
{{- printf "%s-%s" (include "backbone.fullname" $) (index . 1) -}}
{{- end -}}

{{/* What selects the pods of one part; never changes between versions. */}}
{{- define "backbone.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: backbone
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "backbone.labels" -}}
{{- $ := index . 0 -}}
{{ include "backbone.selector" . }}
app.kubernetes.io/part-of: smart-administration
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version }}
{{- end -}}

{{- define "backbone.image" -}}
{{- $image := .Values.image -}}
{{- $repository := required "image.repository is required: where your registry has the image that `make image` builds" $image.repository -}}
{{- if $image.digest -}}
{{ $repository }}@{{ $image.digest }}
{{- else -}}
{{ $repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* A service with the defaults under its own entry, as YAML. */}}
{{- define "backbone.service" -}}
{{- $ := index . 0 -}}
{{- mustMergeOverwrite (deepCopy $.Values.defaults) (deepCopy (index $.Values.services (index . 1))) | toYaml -}}
{{- end -}}

{{/* An environment entry read from a Secret: list VARIABLE secret key. */}}
{{- define "backbone.fromSecret" -}}
- name: {{ index . 0 }}
  valueFrom: {secretKeyRef: {name: {{ index . 1 }}, key: {{ index . 2 }}}}
{{- end -}}

{{- define "backbone.environment.kafka" -}}
{{- $kafka := .Values.kafka -}}
- {name: BACKBONE_KAFKA_BOOTSTRAP, value: {{ required "kafka.bootstrap is required: host:port of a broker" $kafka.bootstrap | quote }}}
- {name: BACKBONE_KAFKA_SECURITY_PROTOCOL, value: {{ $kafka.securityProtocol }}}
- {name: BACKBONE_KAFKA_USERNAME, value: {{ $kafka.username | quote }}}
{{ include "backbone.fromSecret" (list "BACKBONE_KAFKA_PASSWORD" (required "kafka.existingSecret is required: the name of a Secret with the key `password`" $kafka.existingSecret) "password") }}
- {name: BACKBONE_KAFKA_PARTITIONS, value: {{ $kafka.partitions | quote }}}
- {name: BACKBONE_KAFKA_REPLICATION, value: {{ $kafka.replication | quote }}}
{{- if $kafka.caSecret }}
- {name: BACKBONE_KAFKA_CAFILE, value: /etc/backbone/kafka/ca.crt}
{{- end }}
{{- end -}}

{{- define "backbone.environment.database" -}}
{{- $ := index . 0 -}}
{{- $name := index . 1 -}}
{{- $secret := (index $.Values.services $name).existingSecret -}}
{{ include "backbone.fromSecret" (list "BACKBONE_DATABASE_URL" (required (printf "services.%s.existingSecret is required: the name of a Secret with the key `database-url`" $name) $secret) "database-url") }}
- {name: BACKBONE_DATABASE_POOL_SIZE, value: {{ $.Values.database.poolSize | quote }}}
{{- end -}}

{{/* Everything that `backbone serve NAME` reads: list $ name. */}}
{{- define "backbone.environment" -}}
{{- $ := index . 0 -}}
{{- $name := index . 1 -}}
{{- $service := include "backbone.service" . | fromYaml -}}
{{- if eq $service.protocol "http" -}}
- {name: BACKBONE_HTTP_LISTEN, value: "0.0.0.0:{{ $service.port }}"}
- {name: BACKBONE_CORS_ORIGINS, value: {{ join "," $.Values.gateway.corsOrigins | quote }}}
{{- with $.Values.gateway.kafkaPublicAddress }}
- {name: BACKBONE_KAFKA_PUBLIC_ADDRESS, value: {{ . | quote }}}
{{- end }}
{{- else -}}
- {name: BACKBONE_GRPC_LISTEN, value: "0.0.0.0:{{ $service.port }}"}
{{- end }}
- {name: BACKBONE_OPS_LISTEN, value: "0.0.0.0:9464"}
- {name: BACKBONE_PUBLIC_URL, value: {{ required "publicUrl is required: how the outside world calls the gateway" $.Values.publicUrl | quote }}}
- {name: BACKBONE_ISSUER, value: {{ required "realm.issuer is required: the realm's issuer URL, as in the tokens' `iss`" $.Values.realm.issuer | quote }}}
{{- with $.Values.realm.jwksUrl }}
- {name: BACKBONE_JWKS_URL, value: {{ . | quote }}}
{{- end }}
- {name: BACKBONE_LOG_LEVEL, value: {{ $.Values.telemetry.logLevel }}}
{{- with $.Values.telemetry.otlpEndpoint }}
- {name: BACKBONE_OTLP_ENDPOINT, value: {{ . | quote }}}
- {name: BACKBONE_TRACE_RATIO, value: {{ $.Values.telemetry.traceRatio | quote }}}
{{- end }}
{{- if has "client" $service.uses }}
- {name: BACKBONE_CLIENT_ID, value: {{ $name }}}
{{ include "backbone.fromSecret" (list "BACKBONE_CLIENT_SECRET" (required (printf "services.%s.existingSecret is required: the name of a Secret with the key `client-secret`" $name) $service.existingSecret) "client-secret") }}
{{- end }}
{{- if has "database" $service.uses }}
{{ include "backbone.environment.database" . }}
{{- end }}
{{- if has "kafka" $service.uses }}
{{ include "backbone.environment.kafka" $ }}
{{- end }}
{{- if has "storage" $service.uses }}
{{- $secret := required "storage.existingSecret is required: the name of a Secret with the keys `access-key` and `secret-key`" $.Values.storage.existingSecret }}
- {name: BACKBONE_STORAGE_ENDPOINT, value: {{ required "storage.endpoint is required: host:port of the S3 server" $.Values.storage.endpoint | quote }}}
- {name: BACKBONE_STORAGE_SECURE, value: {{ $.Values.storage.secure | quote }}}
- {name: BACKBONE_STORAGE_BUCKET, value: {{ $.Values.storage.bucket | quote }}}
{{- with $.Values.storage.publicUrl }}
- {name: BACKBONE_QUARANTINE_URL, value: {{ . | quote }}}
{{- end }}
{{ include "backbone.fromSecret" (list "BACKBONE_STORAGE_ACCESS_KEY" $secret "access-key") }}
{{ include "backbone.fromSecret" (list "BACKBONE_STORAGE_SECRET_KEY" $secret "secret-key") }}
{{- end }}
{{- if has "retention" $service.uses }}
- {name: BACKBONE_RETENTION_TRASH_DAYS, value: {{ $.Values.retention.trashDays | quote }}}
{{- if $.Values.retention.classesConfigMap }}
- {name: BACKBONE_RETENTION_CLASSES, value: /etc/backbone/retention/classes.toml}
{{- end }}
{{- end }}
{{- if has "antivirus" $service.uses }}
- {name: BACKBONE_ANTIVIRUS_ADDRESS, value: {{ required "antivirus.address is required: host:port of clamd" $.Values.antivirus.address | quote }}}
{{- end }}
{{- if has "receipts" $service.uses }}
- {name: BACKBONE_RECEIPTS_ORIGIN, value: {{ required "receipts.origin is required: the log's name in its checkpoints, such as api.example.org/receipts" $.Values.receipts.origin | quote }}}
{{ include "backbone.fromSecret" (list "BACKBONE_RECEIPTS_KEY" (required (printf "services.%s.existingSecret is required: the name of a Secret with the key `receipts-key`" $name) $service.existingSecret) "receipts-key") }}
{{- with $.Values.receipts.tsaUrl }}
- {name: BACKBONE_RECEIPTS_TSA_URL, value: {{ . | quote }}}
- {name: BACKBONE_RECEIPTS_TSA_CAFILE, value: /etc/backbone/tsa/ca.crt}
{{- end }}
{{- end }}
{{- if has "smtp" $service.uses }}
- {name: BACKBONE_SMTP_HOST, value: {{ required "smtp.host is required: the mail server" $.Values.smtp.host | quote }}}
- {name: BACKBONE_SMTP_PORT, value: {{ $.Values.smtp.port | quote }}}
- {name: BACKBONE_SMTP_STARTTLS, value: {{ $.Values.smtp.starttls | quote }}}
- {name: BACKBONE_SMTP_SENDER, value: {{ required "smtp.sender is required: the address that mails come from" $.Values.smtp.sender | quote }}}
{{- with $.Values.smtp.existingSecret }}
{{ include "backbone.fromSecret" (list "BACKBONE_SMTP_USERNAME" . "username") }}
{{ include "backbone.fromSecret" (list "BACKBONE_SMTP_PASSWORD" . "password") }}
{{- end }}
{{- end }}
{{- if has "webhooks" $service.uses }}
- {name: BACKBONE_WEBHOOK_ALLOWED_NETWORKS, value: {{ join "," $.Values.webhooks.allowedNetworks | quote }}}
- {name: BACKBONE_WEBHOOK_ALLOW_HTTP, value: {{ $.Values.webhooks.allowHttp | quote }}}
{{- end }}
{{- if has "signing" $service.uses }}
{{ include "backbone.fromSecret" (list (printf "BACKBONE_%s_SIGNING_KEYS" (upper $name)) $service.existingSecret "signing-keys") }}
{{- end }}
{{- if has "keyring" $service.uses }}
{{ include "backbone.fromSecret" (list "BACKBONE_KEYRING_MASTER_KEYS" $service.existingSecret "keyring-master-keys") }}
{{- end }}
{{- range $other := $service.calls }}
{{- $port := (required (printf "services.%s.calls names %s, which is not in services" $name $other) (index $.Values.services $other)).port }}
- {name: BACKBONE_{{ upper $other }}_ADDRESS, value: "{{ include "backbone.name" (list $ $other) }}:{{ $port }}"}
{{- end }}
{{- range $key, $value := $service.env }}
- {name: {{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- end -}}

{{/* Volumes of a pod: where it may write, and Kafka's authority. list $ tmpSize usesKafka */}}
{{- define "backbone.volumes" -}}
{{- $ := index . 0 -}}
- {name: tmp, emptyDir: {sizeLimit: {{ index . 1 }}}}
{{- if and (index . 2) $.Values.kafka.caSecret }}
- {name: kafka-ca, secret: {secretName: {{ $.Values.kafka.caSecret }}, defaultMode: 0440}}
{{- end }}
{{- end -}}

{{/* list $ usesKafka */}}
{{- define "backbone.mounts" -}}
{{- $ := index . 0 -}}
- {name: tmp, mountPath: /tmp}
{{- if and (index . 1) $.Values.kafka.caSecret }}
- {name: kafka-ca, mountPath: /etc/backbone/kafka, readOnly: true}
{{- end }}
{{- end -}}

{{/* The host of publicUrl. */}}
{{- define "backbone.host" -}}
{{- $url := urlParse (required "publicUrl is required: how the outside world calls the gateway" .Values.publicUrl) -}}
{{- $host := first (splitList ":" $url.host) -}}
{{- required "publicUrl must be a URL with a host, such as https://api.example.org" $host -}}
{{- end -}}
