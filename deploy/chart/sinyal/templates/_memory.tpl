{{/* How much the community role may come to hold, and whether its pods may. */}}

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
config/default.toml: 250 an identity, 600 an item, 100 a member, 150 what is parked; 384 MiB for everything else (benches/results: 829 MiB
at the peak with 500,000 records in 1,000 communities, of which 455 are by these figures).
*/}}
{{- define "sinyal.communityMebibytes" -}}
{{- $of := include "sinyal.effective" . | fromJson -}}
{{- $pods := max 1 (sub (int64 .Values.community.replicas) 1) -}}
{{- $partitions := int64 $of.topics.partitions -}}
{{- $each := div (sub (add $partitions $pods) 1) $pods -}}
{{- $bytes := add (mul 250 (int64 $of.community.ids_max)) (mul 600 (int64 $of.items.max)) (mul 100 (int64 $of.community.members_max)) (mul 150 (int64 $of.community.parked_max)) -}}
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
