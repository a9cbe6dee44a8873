{{/* What the Pod Security level "restricted" asks of every pod, and no token. */}}
{{- define "edgesentry.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  seccompProfile: {type: RuntimeDefault}
  {{- range $field, $id := .Values.podSecurityContext }}
  {{- if not (kindIs "invalid" $id) }}
  {{ $field }}: {{ int $id }}
  {{- end }}
  {{- end }}
{{- include "edgesentry.imagePullSecrets" . }}
{{- end }}

{{- define "edgesentry.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Where pods may run. */}}
{{- define "edgesentry.scheduling" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* A container of our own image. Takes root. */}}
{{- define "edgesentry.container" -}}
image: {{ include "edgesentry.image" (dict "root" . "image" .Values.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "edgesentry.containerSecurity" . }}
{{- end }}

{{/* A script of files/ in our own image, by the Node that it starts `eds` with. Takes the file's name. */}}
{{- define "edgesentry.script" -}}
command: [/nodejs/bin/node, /scripts/{{ . }}]
{{- end }}

{{- define "edgesentry.scriptsVolume" -}}
- name: scripts
  configMap: {name: {{ include "edgesentry.fullname" . }}-scripts}
{{- end }}

{{/* A quantity in Mi or Gi, as whole Mi. */}}
{{- define "edgesentry.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- hasSuffix "Gi" . | ternary (mul $number 1024) $number -}}
{{- end }}

{{/* Bounds what the process takes for itself: docs/operations.md, Memory. Takes resources. */}}
{{- define "edgesentry.memoryEnv" -}}
- name: NODE_OPTIONS
  value: --max-semi-space-size=4 --max-old-space-size={{ div (include "edgesentry.mebibytes" .limits.memory) 2 }}
- {name: MALLOC_ARENA_MAX, value: "2"}
- {name: MALLOC_MMAP_THRESHOLD_, value: "131072"}
- {name: MALLOC_TRIM_THRESHOLD_, value: "262144"}
{{- end }}

{{/* Traces, with what Kubernetes knows of the pod. */}}
{{- define "edgesentry.otelEnv" -}}
{{- with .Values.otel }}
{{- if .endpoint }}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ .endpoint | quote }}}
- {name: OTEL_EXPORTER_OTLP_PROTOCOL, value: {{ .protocol | quote }}}
- {name: OTEL_TRACES_SAMPLER, value: {{ .sampler | quote }}}
- {name: OTEL_TRACES_SAMPLER_ARG, value: {{ .samplerArg | quote }}}
- {name: OTEL_SERVICE_NAME, value: {{ include "edgesentry.fullname" $ }}}
{{- range $name, $path := dict "POD_NAME" "metadata.name" "POD_UID" "metadata.uid" "NAMESPACE" "metadata.namespace" "NODE_NAME" "spec.nodeName" }}
- {name: K8S_{{ $name }}, valueFrom: {fieldRef: {fieldPath: {{ $path }}}}}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: >-
    k8s.namespace.name=$(K8S_NAMESPACE),k8s.pod.name=$(K8S_POD_NAME),k8s.pod.uid=$(K8S_POD_UID),k8s.node.name=$(K8S_NODE_NAME),k8s.deployment.name={{ include "edgesentry.fullname" $ }},k8s.container.name=eds,service.version={{ default $.Chart.AppVersion $.Values.image.tag }}
{{- if .existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .existingSecret }}, key: OTEL_EXPORTER_OTLP_HEADERS}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
