{{/* What the schema cannot say: each fails with what is wrong and what to do. */}}

{{/* An API that must be there. Takes root, api and help. */}}
{{- define "edgesentry.require" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "\nThe cluster does not have %s.\n%s" .api .help) -}}
{{- end -}}
{{- end }}

{{- define "edgesentry.checks" -}}
{{- $values := .Values -}}
{{- $postgres := $values.postgresql -}}
{{- if eq $postgres.mode "cnpg" -}}
{{- include "edgesentry.require" (dict "root" . "api" "postgresql.cnpg.io/v1/DatabaseRole" "help" "Install the CloudNativePG operator 1.30 or newer first, or set postgresql.mode=external (helm template: --api-versions).") -}}
{{- if ge (int $postgres.synchronous.number) (int $postgres.instances) -}}
{{- fail (printf "\npostgresql.synchronous.number is %d and postgresql.instances is %d: no commit could ever be confirmed.\nRaise instances, or set synchronous.number to 0 and lose records in a failover." (int $postgres.synchronous.number) (int $postgres.instances)) -}}
{{- end -}}
{{- if $postgres.backup.enabled -}}
{{- include "edgesentry.require" (dict "root" . "api" "barmancloud.cnpg.io/v1/ObjectStore" "help" "Install the barman-cloud plugin of CloudNativePG first, or set postgresql.backup.enabled=false.") -}}
{{- end -}}
{{- end -}}

{{- /* docs/operations.md, Connections: three jobs, and PostgreSQL's own reserve of three for superusers. */ -}}
{{- $pods := include "edgesentry.podsMax" . | int -}}
{{- $needed := add (mul $pods (add1 $postgres.poolSize)) 3 3 -}}
{{- if gt $needed (int64 $postgres.maxConnections) -}}
{{- fail (printf "\n%d pods (one of them of a rollout) x (pool of %d + 1) + 3 jobs + 3 reserved = %d connections, but postgresql.maxConnections is %d.\nRaise postgresql.maxConnections, or lower the replicas or postgresql.poolSize." $pods (int $postgres.poolSize) (int $needed) (int $postgres.maxConnections)) -}}
{{- end -}}

{{- /* 12: four steps of at most three seconds, docs/operations.md, Stopping. */ -}}
{{- $grace := add $values.preStopSeconds $values.ingest.drainSeconds 12 -}}
{{- if lt (int64 $values.terminationGracePeriodSeconds) $grace -}}
{{- fail (printf "\nterminationGracePeriodSeconds is %d, less than preStopSeconds + ingest.drainSeconds + 12 = %d: pods would be killed with requests in flight.\nSet it to %d or more." (int $values.terminationGracePeriodSeconds) (int $grace) (int $grace)) -}}
{{- end -}}

{{- range $name, $resources := dict "resources" $values.resources "audit.resources" $values.audit.resources -}}
{{- if lt (include "edgesentry.mebibytes" $resources.limits.memory | int) 256 -}}
{{- fail (printf "\n%s.limits.memory is %s: payloads in flight and Node need more.\nSet it to 256Mi or more." $name $resources.limits.memory) -}}
{{- end -}}
{{- end -}}

{{- if and $values.autoscaling.enabled $values.keda.enabled -}}
{{- fail "\nautoscaling.enabled and keda.enabled would both set the number of replicas.\nChoose one." -}}
{{- end -}}
{{- if $values.keda.enabled -}}
{{- include "edgesentry.require" (dict "root" . "api" "keda.sh/v1alpha1/ScaledObject" "help" "Install KEDA first, or set keda.enabled=false.") -}}
{{- end -}}

{{- if and (or $values.ingress.enabled $values.gateway.enabled) (eq $values.tls.mode "none") -}}
{{- fail "\ntls.mode is none: devices would send over plain HTTP through the ingress or gateway.\nSet tls.mode to ingress or passthrough." -}}
{{- end -}}
{{- if and (eq $values.tls.mode "passthrough") $values.ingress.enabled (not $values.ingress.annotations) -}}
{{- fail "\nAn Ingress passes TLS through only by an annotation of its controller.\nSet ingress.annotations, such as nginx.ingress.kubernetes.io/ssl-passthrough, or use gateway.enabled." -}}
{{- end -}}
{{- if $values.gateway.enabled -}}
{{- include "edgesentry.require" (dict "root" . "api" "gateway.networking.k8s.io/v1/HTTPRoute" "help" "Install the Gateway API first, or set gateway.enabled=false.") -}}
{{- end -}}
{{- if $values.tls.certManager.enabled -}}
{{- include "edgesentry.require" (dict "root" . "api" "cert-manager.io/v1/Certificate" "help" "Install cert-manager first, or give tls.existingSecret.") -}}
{{- end -}}

{{- if and $values.objectStore.init.expireDays (lt (int $values.objectStore.init.expireDays) (int $values.objectStore.init.retentionDays)) $values.objectStore.init.objectLock -}}
{{- fail (printf "\nobjectStore.init.expireDays is %d, but objects are locked for %d days.\nLet them expire no sooner, or shorten the retention." (int $values.objectStore.init.expireDays) (int $values.objectStore.init.retentionDays)) -}}
{{- end -}}
{{- end }}

{{/* "true" where a CRD of the Prometheus operator is to be rendered. Takes root and kind. */}}
{{- define "edgesentry.monitoringApi" -}}
{{- $mode := .root.Values.monitoring.renderMode -}}
{{- $api := printf "monitoring.coreos.com/v1/%s" .kind -}}
{{- if eq $mode "failIfMissing" -}}
{{- include "edgesentry.require" (dict "root" .root "api" $api "help" "Install the Prometheus operator first, or set monitoring.renderMode=skipIfMissing.") -}}
{{- end -}}
{{- if or (ne $mode "skipIfMissing") (.root.Capabilities.APIVersions.Has $api) -}}true{{- end -}}
{{- end }}
