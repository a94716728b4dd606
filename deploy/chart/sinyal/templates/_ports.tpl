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

{{/* The ports of a PostgreSQL URL, as a YAML list. It may name several hosts, each with a port of its own; 5432 where none is named. */}}
{{- define "sinyal.postgresPorts" -}}
{{- $hosts := regexReplaceAll "^[a-z]+://([^/?]*@)?([^/?]*).*$" . "${2}" -}}
{{- if and (not $hosts) (regexMatch "[?&]port=[0-9]" .) -}}
{{- /* As libpq's parameters: ?host=db1,db2&port=5432,6000 */ -}}
{{- $hosts = regexReplaceAll "^.*[?&]port=([0-9,]+).*$" . "${1}" | splitList "," | join ",:" | printf ":%s" -}}
{{- end -}}
{{- $ports := list -}}
{{- range splitList "," $hosts -}}
{{- $ports = append $ports (regexFind "[0-9]+$" (regexFind ":[0-9]+$" .) | default "5432" | int) -}}
{{- end -}}
{{ $ports | uniq | toYaml }}
{{- end }}
