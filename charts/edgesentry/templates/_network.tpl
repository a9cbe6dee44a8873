{{/* Pods of some components of this release. Takes root and components. */}}
{{- define "edgesentry.componentsExpression" -}}
- {key: app.kubernetes.io/instance, operator: In, values: [{{ .root.Release.Name }}]}
- {key: app.kubernetes.io/component, operator: In, values: [{{ join ", " .components }}]}
{{- end }}

{{/* Port of an http(s) URL; nothing for no URL. */}}
{{- define "edgesentry.urlPort" -}}
{{- if . -}}
{{- $host := (urlParse .).host -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default (hasPrefix "https:" . | ternary "443" "80") -}}
{{- end -}}
{{- end }}

{{/* Name service, PostgreSQL and the object store, by mode. Addresses outside the cluster are not known, so ports alone bound. */}}
{{- define "edgesentry.egressToStores" -}}
- ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- if eq .Values.postgresql.mode "cnpg" }}
- ports: [{port: 5432}]
  to: [{podSelector: {matchLabels: {cnpg.io/cluster: {{ include "edgesentry.postgres" . }}}}}]
{{- else }}
- ports: [{port: {{ .Values.postgresql.external.port }}}]
{{- end }}
{{- if eq .Values.objectStore.mode "minio" }}
- ports: [{port: 9000}]
  to:
    - podSelector:
        matchLabels: {{- include "edgesentry.selector" (dict "root" . "component" "minio") | nindent 10 }}
{{- else }}
- ports: [{port: {{ include "edgesentry.urlPort" (default "https://s3" .Values.objectStore.external.endpoint) }}}]
{{- end }}
{{- end }}
