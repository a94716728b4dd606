{{/* Names of topics and groups as `sinyal topics plan` has them, and what the topics are to be like. */}}

{{/* The name of a topic. Takes a dict of `of`, the effective configuration, and the key below `topics`. */}}
{{- define "sinyal.topic" -}}
{{- $topics := .of.topics -}}
{{- $generation := "" -}}
{{- if and $topics.generation (not (hasSuffix "_raw" .key)) (ne .key "notify_state") -}}
{{- $generation = printf "%s." $topics.generation -}}
{{- end -}}
{{ $topics.prefix }}{{ $generation }}{{ trimPrefix $topics.prefix (get $topics .key) }}
{{- end }}

{{- define "sinyal.group" -}}
{{ .group }}{{ with .of.topics.generation }}.{{ . }}{{ end }}
{{- end }}

{{/* All topics, as a YAML list of name, partitions and config. */}}
{{- define "sinyal.topics" -}}
{{- $of := include "sinyal.effective" . | fromJson -}}
{{- $topics := $of.topics -}}
{{- $compact := dict "cleanup.policy" "compact" "max.compaction.lag.ms" "86400000" -}}
{{- $kept := dict "cleanup.policy" "delete" "retention.ms" "-1" -}}
{{- $week := dict "cleanup.policy" "delete" "retention.ms" (printf "%.0f" $topics.retention_ms) -}}
{{- /* As much as a dead letter may take beside the raw record. */ -}}
{{- $letters := dict "cleanup.policy" "delete" "retention.ms" (printf "%.0f" $topics.dead_letter_retention_ms) "max.message.bytes" (printf "%.0f" (addf $of.limits.raw_record_bytes 65536)) -}}
{{- $rows := dict "cleanup.policy" "compact,delete" "retention.ms" (printf "%.0f" $topics.metrics_retention_ms) -}}
{{- $alerts := merge (dict "min.compaction.lag.ms" "3600000") $compact -}}
{{- $canary := dict "cleanup.policy" "delete" "retention.ms" "21600000" -}}
{{- $all := list -}}
{{- if .Values.strimzi.topics.raw -}}
{{- range list "posts_raw" "comments_raw" -}}
{{- $all = append $all (dict "name" (include "sinyal.topic" (dict "of" $of "key" .)) "partitions" $topics.raw_partitions "config" dict) -}}
{{- end -}}
{{- end -}}
{{- range $key, $config := dict "classified" $week "changelog" $compact "corrections" $kept "actions" $kept -}}
{{- $all = append $all (dict "name" (include "sinyal.topic" (dict "of" $of "key" $key)) "partitions" $topics.partitions "config" $config) -}}
{{- end -}}
{{- range $key, $config := dict "queue_state" $compact "metrics" $rows "alerts" $alerts "notify_state" $compact "dead_letters" $letters "canary" $canary -}}
{{- $all = append $all (dict "name" (include "sinyal.topic" (dict "of" $of "key" $key)) "partitions" $topics.other_partitions "config" $config) -}}
{{- end -}}
{{- with $of.communities.topic -}}
{{- $all = append $all (dict "name" (printf "%s%s" $topics.prefix (trimPrefix $topics.prefix .)) "partitions" $topics.other_partitions "config" $compact) -}}
{{- end -}}
{{- range $of.queues -}}
{{- $all = append $all (dict "name" (printf "%s%s" (include "sinyal.topic" (dict "of" $of "key" "queue_prefix")) .name) "partitions" $topics.other_partitions "config" $week) -}}
{{- end -}}
{{ toYaml $all }}
{{- end }}
