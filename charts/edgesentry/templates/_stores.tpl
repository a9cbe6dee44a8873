{{/* PostgreSQL. Roles: "service" may read and insert; "owner" has the schema and the registry. */}}

{{- define "edgesentry.postgres" -}}
{{ include "edgesentry.fullname" . }}-postgres
{{- end }}

{{/* Volume with the server's CA and, for CloudNativePG, the service role's client certificate, which the operator renews. */}}
{{- define "edgesentry.postgresVolume" -}}
{{- if eq .Values.postgresql.mode "cnpg" }}
- name: postgres
  projected:
    defaultMode: 0440
    sources:
      - secret: {name: {{ include "edgesentry.postgres" . }}-ca, items: [{key: ca.crt, path: ca.crt}]}
      - secret: {name: {{ include "edgesentry.postgres" . }}-service-client-cert}
{{- else if .Values.postgresql.external.caSecret }}
- name: postgres
  secret: {secretName: {{ .Values.postgresql.external.caSecret }}, defaultMode: 0440, items: [{key: ca.crt, path: ca.crt}]}
{{- end }}
{{- end }}

{{- define "edgesentry.postgresMount" -}}
{{- if or (eq .Values.postgresql.mode "cnpg") .Values.postgresql.external.caSecret }}
- {name: postgres, mountPath: /etc/edgesentry/postgres, readOnly: true}
{{- end }}
{{- end }}

{{/* Takes root, role and, for CloudNativePG, service: rw (the primary) or ro (a standby). */}}
{{- define "edgesentry.postgresEnv" -}}
{{- $external := .root.Values.postgresql.external -}}
{{- $files := "/etc/edgesentry/postgres" -}}
{{- if eq .root.Values.postgresql.mode "external" }}
- name: DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ $external.existingSecret }}, key: {{ eq .role "owner" | ternary $external.ownerUrlKey $external.serviceUrlKey }}}}
{{- else }}
{{- $server := printf "%s-%s.%s.svc:5432/edgesentry?sslmode=verify-full&sslrootcert=%s/ca.crt" (include "edgesentry.postgres" .root) (default "rw" .service) .root.Release.Namespace $files }}
- name: DATABASE_URL
{{- if eq .role "owner" }}
  value: postgres://edgesentry@{{ $server }}
- name: PGPASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "edgesentry.postgres" .root }}-app, key: password}}
{{- else }}
  value: postgres://edgesentry_service@{{ $server }}&sslcert={{ $files }}/tls.crt&sslkey={{ $files }}/tls.key
{{- end }}
{{- end }}
{{- end }}

{{/* Reports read from a standby where there is one. */}}
{{- define "edgesentry.reportService" -}}
{{- gt (int .Values.postgresql.instances) 1 | ternary "ro" "rw" -}}
{{- end }}

{{/* Most pods at once: the autoscaler's or the fixed number, and one more while a rollout is under way. */}}
{{- define "edgesentry.podsMax" -}}
{{- $values := .Values -}}
{{- if $values.keda.enabled }}{{ add1 $values.keda.maxReplicas }}
{{- else if $values.autoscaling.enabled }}{{ add1 $values.autoscaling.maxReplicas }}
{{- else }}{{ add1 $values.replicas }}{{ end -}}
{{- end }}

{{- define "edgesentry.replicasMin" -}}
{{- $values := .Values -}}
{{- if $values.keda.enabled }}{{ $values.keda.minReplicas }}
{{- else if $values.autoscaling.enabled }}{{ $values.autoscaling.minReplicas }}
{{- else }}{{ $values.replicas }}{{ end -}}
{{- end }}

{{/* The object store. Who: "service" puts, "auditor" reads and lists, "admin" makes the bucket. */}}

{{- define "edgesentry.minio" -}}
{{ include "edgesentry.fullname" . }}-minio
{{- end }}

{{- define "edgesentry.s3Endpoint" -}}
{{- eq .Values.objectStore.mode "minio" | ternary (printf "http://%s:9000" (include "edgesentry.minio" .)) .Values.objectStore.external.endpoint -}}
{{- end }}

{{/* The bucket's flags. */}}
{{- define "edgesentry.s3Args" -}}
{{- $external := .Values.objectStore.external -}}
{{- $minio := eq .Values.objectStore.mode "minio" -}}
- --s3-bucket={{ .Values.objectStore.bucket }}
{{- with include "edgesentry.s3Endpoint" . }}
- --s3-endpoint={{ . }}
{{- end }}
{{- if or $minio $external.region }}
- --s3-region={{ $minio | ternary "us-east-1" $external.region }}
{{- end }}
{{- if or $minio $external.forcePathStyle }}
- --s3-force-path-style
{{- end }}
{{- end }}

{{/* Takes root and who. Without a Secret the SDK finds a workload identity. */}}
{{- define "edgesentry.s3Env" -}}
{{- $values := .root.Values -}}
{{- $external := $values.objectStore.external.existingSecret -}}
{{- $secrets := dict "service" $external "auditor" (default $external $values.audit.existingSecret) "admin" (default $external $values.objectStore.init.existingSecret) -}}
{{- $minio := eq $values.objectStore.mode "minio" -}}
{{- $secret := $minio | ternary (include "edgesentry.minio" .root) (get $secrets .who) -}}
{{- if $secret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $minio | ternary (printf "%s-access-key" .who) "AWS_ACCESS_KEY_ID" }}}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ $minio | ternary (printf "%s-secret-key" .who) "AWS_SECRET_ACCESS_KEY" }}}}
{{- end }}
{{- end }}
