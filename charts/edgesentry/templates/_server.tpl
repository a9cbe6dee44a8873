{{/* The pods that take records: component "server". */}}

{{- define "edgesentry.ingestPort" -}}
{{- eq .Values.tls.mode "passthrough" | ternary 8443 8080 -}}
{{- end }}

{{- define "edgesentry.servicePort" -}}
{{- .Values.service.port | default (eq .Values.tls.mode "passthrough" | ternary 443 80) -}}
{{- end }}

{{- define "edgesentry.tlsSecret" -}}
{{- $made := .Values.tls.certManager.enabled | ternary (printf "%s-tls" (include "edgesentry.fullname" .)) "" -}}
{{- default $made .Values.tls.existingSecret -}}
{{- end }}

{{- define "edgesentry.serverArgs" -}}
{{- $passthrough := eq .Values.tls.mode "passthrough" -}}
{{- $ingest := .Values.ingest -}}
- {{ $passthrough | ternary "serve-tls" "serve" }}
- --addr=0.0.0.0:{{ include "edgesentry.ingestPort" . }}
- --ops-addr=0.0.0.0:9464
- --allowed-sources={{ join "," $ingest.allowedSources }}
{{- with $ingest.trustedProxies }}
- --trusted-proxies={{ join "," . }}
{{- end }}
{{- with $ingest.proxyProtocolFrom }}
- --proxy-protocol-from={{ join "," . }}
{{- end }}
- --pool-size={{ .Values.postgresql.poolSize }}
- --payload-layout={{ $ingest.payloadLayout }}
- --payload-bytes-max={{ int64 $ingest.payloadBytesMax }}
- --object-ref-scope={{ $ingest.objectRefScope }}
- --drain-seconds={{ $ingest.drainSeconds }}
- --log-level={{ $ingest.logLevel }}
{{- range $name, $rate := $ingest.limits }}
{{- with $rate }}
- --limit-{{ $name }}={{ . }}
{{- end }}
{{- end }}
{{- with $ingest.connectionsPerSourceMax }}
- --connections-per-source-max={{ int64 . }}
{{- end }}
{{- with $ingest.clockSkewSecondsMax }}
- --clock-skew-seconds-max={{ int64 . }}
{{- end }}
{{ include "edgesentry.s3Args" . }}
{{- if $passthrough }}
- --tls-cert=/etc/edgesentry/tls/tls.crt
- --tls-key=/etc/edgesentry/tls/tls.key
{{- if ne .Values.tls.clientAuth "none" }}
- --tls-client-auth={{ .Values.tls.clientAuth }}
- --tls-client-ca=/etc/edgesentry/tls-client/ca.crt
{{- if .Values.tls.clientCrl }}
- --tls-client-crl=/etc/edgesentry/tls-client/ca.crl
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Whole Secrets, never subPath: only so does the kubelet swap their files when they change. */}}
{{- define "edgesentry.tlsVolumes" -}}
{{- if eq .Values.tls.mode "passthrough" }}
- name: tls
  secret: {secretName: {{ include "edgesentry.tlsSecret" . }}, defaultMode: 0440}
{{- if ne .Values.tls.clientAuth "none" }}
- name: tls-client
  secret: {secretName: {{ .Values.tls.clientCaSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}
{{- end }}

{{- define "edgesentry.tlsMounts" -}}
{{- if eq .Values.tls.mode "passthrough" }}
- {name: tls, mountPath: /etc/edgesentry/tls, readOnly: true}
{{- if ne .Values.tls.clientAuth "none" }}
- {name: tls-client, mountPath: /etc/edgesentry/tls-client, readOnly: true}
{{- end }}
{{- end }}
{{- end }}

{{/* Over zones and nodes where that can be had: a pod that runs beside another beats one that does not run. */}}
{{- define "edgesentry.spread" -}}
{{- $labels := include "edgesentry.selector" (dict "root" . "component" "server") -}}
topologySpreadConstraints:
{{- with .Values.topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- $labels | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end }}
affinity:
{{- with .Values.affinity }}
  {{- toYaml . | nindent 2 }}
{{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {{- $labels | nindent 14 }}
{{- end }}
{{- end }}
