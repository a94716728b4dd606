{{/* How much the community role and the notifier may come to hold, and whether their pods may. */}}

{{/* A quantity of Kubernetes as it was written: one without a unit is a number, which must not become 6e+09. */}}
{{- define "sinyal.quantity" -}}
{{- if kindIs "float64" . -}}{{ printf "%.0f" . }}{{- else -}}{{ . }}{{- end -}}
{{- end }}

{{/* The same in MiB. */}}
{{- define "sinyal.mebibytes" -}}
{{- $text := include "sinyal.quantity" . -}}
{{- $number := regexFind "^[0-9.]+" $text | float64 -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $bytes := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if not (hasKey $bytes $unit) -}}{{ fail (printf "%v: a quantity of memory such as 6Gi is right" .) }}{{- end -}}
{{ divf (mulf $number (get $bytes $unit)) 1048576 | floor | int64 }}
{{- end }}

{{/*
The most that a pod may hold by its configured limits, in MiB, when one pod is away and the others have its partitions. Bytes of one by
config/default.toml: 250 an identity, 600 an item, 100 a member, 150 what is parked, 6000 a community; 384 MiB for everything else (benches/results: 829 MiB
at the peak with 500,000 records in 1,000 communities, of which 461 are by these figures).
*/}}
{{- define "sinyal.communityMebibytes" -}}
{{- $of := include "sinyal.effective" . | fromJson -}}
{{- $pods := max 1 (sub (int64 .Values.community.replicas) 1) -}}
{{- $partitions := int64 $of.topics.partitions -}}
{{- $each := div (sub (add $partitions $pods) 1) $pods -}}
{{- $bytes := add (mul 250 (int64 $of.community.ids_max)) (mul 600 (int64 $of.items.max)) (mul 100 (int64 $of.community.members_max)) (mul 150 (int64 $of.community.parked_max)) (mul 6000 (int64 $of.community.communities_max)) -}}
{{ add (div (mul $each $bytes) 1048576) 384 }}
{{- end }}

{{- define "sinyal.checkMemory" -}}
{{- $limit := ((.Values.community.resources).limits).memory -}}
{{- if and .Values.community.checkMemory $limit -}}
{{- $most := include "sinyal.communityMebibytes" . | int64 -}}
{{- $has := include "sinyal.mebibytes" $limit | int64 -}}
{{- if gt $most $has -}}
{{- fail (printf "community.resources.limits.memory: %v is %d MiB, and a pod may come to hold %d MiB by config.community and config.items when another is away; raise it, add replicas, lower config.community.ids_max, or set community.checkMemory to false" (include "sinyal.quantity" $limit) $has $most) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
The most that the notifier may hold, in MiB: 4 kB an alert and target (config/default.toml), of the targets that are told of alerts; 128 MiB for
everything else, of which 16 are for dead letters that its observer looks through and 2 for each consumer. One replica may have all partitions.
*/}}
{{- define "sinyal.notifyMebibytes" -}}
{{- $notify := (include "sinyal.effective" . | fromJson).notify -}}
{{- $told := 0 -}}
{{- range $notify.targets -}}{{- if ne (toString .alerts) "false" -}}{{- $told = add1 $told -}}{{- end -}}{{- end -}}
{{ add (div (mul 4000 (int64 $notify.alerts_max) $told) 1048576) 128 }}
{{- end }}

{{- define "sinyal.checkNotifyMemory" -}}
{{- $limit := ((.Values.notify.resources).limits).memory -}}
{{- if and .Values.notify.checkMemory $limit -}}
{{- $most := include "sinyal.notifyMebibytes" . | int64 -}}
{{- $has := include "sinyal.mebibytes" $limit | int64 -}}
{{- if gt $most $has -}}
{{- fail (printf "notify.resources.limits.memory: %v is %d MiB, and a pod may come to hold %d MiB by config.notify.alerts_max of each target; raise it, lower config.notify.alerts_max, or set notify.checkMemory to false" (include "sinyal.quantity" $limit) $has $most) -}}
{{- end -}}
{{- end -}}
{{- end }}
