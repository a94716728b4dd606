{{/*
deploy/prometheus/rules.yaml with what hangs on the values: where the runbooks are, and after how many seconds a canary is late. That is at least
canary.interval_ms and canary.late_ms together: the last one that came is as old as the interval when the next is sent, which may take so long.
*/}}
{{- define "sinyal.rules" -}}
{{- $of := include "sinyal.effective" . | fromJson -}}
{{- $rules := .Files.Get "files/rules.yaml" -}}
{{- with .Values.prometheusRule.runbookBase | default $of.notify.runbook_base -}}
{{- $rules = regexReplaceAll "runbook_url: [^ ]+/([A-Za-z]+)[.]md" $rules "runbook_url: BASE/${1}.html" | replace "runbook_url: BASE/" (printf "runbook_url: %s/" (trimSuffix "/" .)) -}}
{{- end -}}
{{- $late := div (add (int64 $of.canary.interval_ms) (int64 $of.canary.late_ms) 999) 1000 | max 300 -}}
{{- $seen := "(sinyal_canary_last_seen_timestamp_seconds) > " -}}
{{- if not (contains (printf "%s300\n" $seen) $rules) -}}
{{- fail "files/rules.yaml: SinyalCanaryLate is to be late after 300 seconds; the chart puts another number there" -}}
{{- end -}}
{{ replace (printf "%s300\n" $seen) (printf "%s%d\n" $seen $late) $rules }}
{{- end }}
