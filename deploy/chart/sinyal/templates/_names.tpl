{{/* Names and labels. */}}

{{- define "sinyal.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Before the names of everything. 40 letters leave room for what follows: a StatefulSet's pods have labels of 63 at most. A Service's name has no
dots. */}}
{{- define "sinyal.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | replace "." "-" | trunc 40 | trimSuffix "-" }}
{{- else -}}
{{- $name := include "sinyal.name" . -}}
{{ ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | replace "." "-" | trunc 40 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "sinyal.serviceAccount" -}}
{{ default (include "sinyal.fullname" .) .Values.serviceAccount.name }}
{{- end }}

{{/* What selects pods: it must never change. Takes a dict of root and role. */}}
{{- define "sinyal.selector" -}}
app.kubernetes.io/name: {{ include "sinyal.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "sinyal.labels" -}}
{{ include "sinyal.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: sinyal
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "sinyal.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}
