{{/*
A Job whose name ends in a hash of all that it does: the same again is the same Job, which has run; anything else is a new
one, for a Job cannot be changed. Takes root, component, spec (text) and, for a hook, annotations.
*/}}
{{- define "edgesentry.job" -}}
apiVersion: batch/v1
kind: Job
metadata:
  {{- $suffix := printf "%s-%s" .component (.spec | sha256sum | trunc 8) }}
  {{- include "edgesentry.metadata" (dict "root" .root "component" .component "suffix" $suffix) | nindent 2 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- .spec | nindent 2 }}
{{- end }}

{{/*
The store that a Job needs may still be starting: it tries again, ten times over half an hour. Takes root, component and, unless
it is the service's, serviceAccountName; the pod's own fields follow.
*/}}
{{- define "edgesentry.jobHead" -}}
backoffLimit: 10
template:
  metadata:
    labels: {{- include "edgesentry.podLabels" . | nindent 6 }}
  spec:
    restartPolicy: OnFailure
    serviceAccountName: {{ default (include "edgesentry.serviceAccountName" .root) .serviceAccountName }}
    {{- include "edgesentry.podSecurity" .root | nindent 4 }}
    {{- include "edgesentry.scheduling" .root | nindent 4 }}
{{- end }}

{{/* An init container that waits for a server. Takes root and either url, or env that has DATABASE_URL. Mounts scripts. */}}
{{- define "edgesentry.wait" -}}
- name: wait
  {{- include "edgesentry.container" .root | nindent 2 }}
  {{- include "edgesentry.script" "wait-for.mts" | nindent 2 }}
  {{- with .url }}
  args: [{{ . }}]
  {{- end }}
  {{- with .env }}
  env: {{- . | nindent 4 }}
  {{- end }}
  resources: {{- toYaml .root.Values.jobResources | nindent 4 }}
  volumeMounts:
    - {name: scripts, mountPath: /scripts, readOnly: true}
{{- end }}
