{{/* Ports by addresses, for the NetworkPolicy. */}}

{{/* The ports of "host:port,host:port", as a YAML list; 9092 where none is named. */}}
{{- define "sinyal.bootstrapPorts" -}}
{{- $ports := list -}}
{{- range splitList "," . -}}
{{- $ports = append $ports (regexFind "[0-9]+$" (regexFind ":[0-9]+$" (trim .)) | default "9092" | int) -}}
{{- end -}}
{{ $ports | uniq | toYaml }}
{{- end }}

{{/* The port of a URL. */}}
{{- define "sinyal.urlPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{ $port | default (ternary "443" "80" (eq $url.scheme "https")) }}
{{- end }}

{{/* The port of a PostgreSQL URL; 5432 where none is named. */}}
{{- define "sinyal.postgresPort" -}}
{{ regexFind "[0-9]+$" (regexFind "^[a-z]+://[^/?]*:[0-9]+" (. | default "")) | default "5432" }}
{{- end }}
