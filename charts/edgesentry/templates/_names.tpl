{{/* 40 characters leave room for the longest suffix within the 63 of a label. */}}
{{- define "edgesentry.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* What never changes: selectors are immutable. Takes root and component. */}}
{{- define "edgesentry.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride | trunc 63 }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Of pods. No chart version: a new chart alone restarts nothing. */}}
{{- define "edgesentry.podLabels" -}}
{{ include "edgesentry.selector" . }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* metadata of an object. Takes root, component and, unless it is the component, the name's suffix ("": none). */}}
{{- define "edgesentry.metadata" -}}
{{- $suffix := hasKey . "suffix" | ternary .suffix .component -}}
name: {{ list (include "edgesentry.fullname" .root) $suffix | compact | join "-" }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "edgesentry.podLabels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "edgesentry.serviceAccountName" -}}
{{- $made := include "edgesentry.fullname" . -}}
{{- default (ternary $made "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end }}

{{/* registry/repository:tag@digest. Takes root and image. CloudNativePG reads the version off the tag, so that it stays. */}}
{{- define "edgesentry.image" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- $path := list $registry .image.repository | compact | join "/" -}}
{{- $tag := default .root.Chart.AppVersion .image.tag -}}
{{- printf "%s:%s%s" $path $tag (empty .image.digest | ternary "" (printf "@%s" .image.digest)) -}}
{{- end }}

{{- define "edgesentry.imagePullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.imagePullSecrets | uniq }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}
