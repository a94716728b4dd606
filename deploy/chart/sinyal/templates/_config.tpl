{{/*
The configuration of each role, as TOML. `files/default.toml` is the program's own: names of topics, numbers of partitions and
limits are taken from it, so that they are not written down twice.
*/}}

{{/* What holds in the end: the program's defaults and what is configured over them. As JSON, for whoever looks something up. */}}
{{- define "sinyal.effective" -}}
{{- $defaults := .Files.Get "files/default.toml" | fromToml -}}
{{- if $defaults.Error -}}{{ fail (printf "files/default.toml: %v" $defaults.Error) }}{{- end -}}
{{- mergeOverwrite $defaults (deepCopy (.Values.config | default dict)) | toJson -}}
{{- end }}

{{/* Keys that the chart sets itself, and where to set them instead. */}}
{{- define "sinyal.owned" -}}
kafka.bootstrap: kafka.bootstrap
kafka.properties: kafka.properties
kafka.property_files: kafka.propertyFiles
instance.id: community, whose pods have lasting names
pseudonym.secret_file: pseudonym.existingSecret
pseudonym.previous_secret_file: pseudonym.previous.existingSecret
pseudonym.previous_version: pseudonym.previous.version
communities.file: communities.registry or communities.existingConfigMap
http.listen: http.port
{{- end }}

{{/* Properties that are secrets by themselves. A test of the program (topics/chart.rs) compares them with those that it refuses. */}}
{{- define "sinyal.secretProperties" -}}
- sasl.password
- ssl.key.password
- ssl.key.pem
- ssl.keystore.password
- sasl.oauthbearer.client.secret
- sasl.oauthbearer.client.credentials.client.secret
- sasl.oauthbearer.assertion.private.key.passphrase
- sasl.oauthbearer.assertion.private.key.pem
- sasl.oauthbearer.config
{{- end }}

{{/* Properties that are not to be had: Sinyal's own, or with a key of their own. The same test compares them. */}}
{{- define "sinyal.ownProperties" -}}
- acks
- auto.commit.enable
- auto.offset.reset
- bootstrap.servers
- client.id
- enable.auto.commit
- enable.auto.offset.store
- enable.gapless.guarantee
- enable.idempotence
- enable.partition.eof
- group.id
- group.instance.id
- group.protocol
- group.remote.assignor
- isolation.level
- metadata.broker.list
- partition.assignment.strategy
- partitioner
- request.required.acks
- session.timeout.ms
- statistics.interval.ms
- test.mock.num.brokers
- topic.metadata.refresh.interval.ms
- transaction.timeout.ms
- transactional.id
{{- end }}

{{/* Refuses what the program would refuse at its start, as far as can be told here: names of keys and kinds of values. */}}
{{- define "sinyal.check" -}}
{{- if not .Values.kafka.bootstrap -}}{{- fail "kafka.bootstrap: the brokers are right, host:port, several by commas" -}}{{- end -}}
{{- if and .Values.classify.enabled (not .Values.pseudonym.existingSecret) -}}
{{- fail "pseudonym.existingSecret: the name of a Secret is right; classify makes pseudonyms by it, and values.yaml says how to make one" -}}
{{- end -}}
{{- if and .Values.pseudonym.previous.existingSecret (not .Values.pseudonym.previous.version) -}}
{{- fail "pseudonym.previous.version: the version that the secret before had is right, such as 1" -}}
{{- end -}}
{{- if and .Values.sink.enabled (not (.Values.config.sink | default dict).url) -}}
{{- fail "config.sink.url: the database is right, such as postgresql://sinyal_sink@db.example:5432/dashboards; the sink writes to it" -}}
{{- end -}}
{{- range $name, $file := .Values.secretFiles -}}
  {{- if not (regexMatch "^[A-Za-z0-9._-]+$" $name) -}}
    {{- fail (printf "secretFiles: %q becomes the name of a file; letters, digits, '.', '_' and '-' are right" $name) -}}
  {{- end -}}
{{- end -}}
{{- $owner := .Values.jobs.sinkApply -}}
{{- if and $owner.enabled (not $owner.url) (not (.Values.config.sink | default dict).url) -}}
{{- fail "jobs.sinkApply.url: the database is right, as the tables' owner, such as postgresql://owner@db.example:5432/dashboards; without it config.sink.url" -}}
{{- end -}}
{{- if and $owner.existingSecret (not $owner.url) -}}
{{- fail "jobs.sinkApply.existingSecret: it holds the password of the user in jobs.sinkApply.url, which is empty; set that" -}}
{{- end -}}
{{- if regexMatch "^[a-z]+://[^/?@]*:[^/?@]*@" $owner.url -}}
{{- fail "jobs.sinkApply.url: it holds a password; a URL without one, and jobs.sinkApply.existingSecret, is right" -}}
{{- end -}}
{{- $secrets := include "sinyal.secretProperties" . | fromYamlArray -}}
{{- $own := include "sinyal.ownProperties" . | fromYamlArray -}}
{{- range $role := list "" "classify" "community" "notify" "sink" "commands" -}}
  {{- $kafka := ternary $.Values.kafka (get $.Values $role | default dict).kafka (empty $role) | default dict -}}
  {{- $path := ternary "kafka" (printf "%s.kafka" $role) (empty $role) -}}
  {{- range $property, $value := $kafka.properties -}}
    {{- if has $property $own -}}
      {{- fail (printf "%s.properties: %s is Sinyal's own or has a key of its own; to leave it out is right" $path $property) -}}
    {{- end -}}
    {{- if has $property $secrets -}}
      {{- fail (printf "%s.properties: %s is a secret, and this is a ConfigMap; put it into a Secret, and name that in secretFiles and %s.propertyFiles" $path $property $path) -}}
    {{- end -}}
  {{- end -}}
  {{- range $property, $file := $kafka.propertyFiles -}}
    {{- if not (hasKey $.Values.secretFiles $file) -}}
      {{- fail (printf "%s.propertyFiles: %s is in %q, which secretFiles does not name" $path $property $file) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- $defaults := .Files.Get "files/default.toml" | fromToml -}}
{{- $owned := include "sinyal.owned" . | fromYaml -}}
{{- range $section, $given := .Values.config -}}
  {{- if not (hasKey $defaults $section) -}}
    {{- fail (printf "config.%s: Sinyal knows no such section; one of %s is right" $section (keys $defaults | sortAlpha | join ", ")) -}}
  {{- end -}}
  {{- $known := get $defaults $section -}}
  {{- if kindIs "map" $known -}}
    {{- if not (kindIs "map" $given) -}}{{- fail (printf "config.%s: a map of its keys is right" $section) -}}{{- end -}}
    {{- include "sinyal.checkKeys" (dict "path" $section "known" $known "given" $given "owned" $owned) -}}
  {{- else if not (kindIs "slice" $given) -}}
    {{- fail (printf "config.%s: a list is right" $section) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{/*
Names and kinds of a table's keys, and of the tables in it. One that is empty in the defaults takes keys of any name. Takes a dict of
path, known (the defaults), given and owned.
*/}}
{{- define "sinyal.checkKeys" -}}
{{- $all := . -}}
{{- range $key, $value := .given -}}
  {{- $path := printf "%s.%s" $all.path $key -}}
  {{- with get $all.owned $path -}}{{- fail (printf "config.%s: the chart sets it; see %s in values.yaml" $path .) -}}{{- end -}}
  {{- if not (hasKey $all.known $key) -}}
    {{- fail (printf "config.%s: Sinyal knows no such key; one of %s is right" $path (keys $all.known | sortAlpha | join ", ")) -}}
  {{- end -}}
  {{- $like := get $all.known $key -}}
  {{- $right := include "sinyal.kind" $like -}}
  {{- $is := include "sinyal.kind" $value -}}
  {{- if ne $right $is -}}
    {{- fail (printf "config.%s: %v is %s; %s is right" $path (toJson $value) $is $right) -}}
  {{- end -}}
  {{- if and (kindIs "map" $like) $like -}}
    {{- include "sinyal.checkKeys" (dict "path" $path "known" $like "given" $value "owned" $all.owned) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "sinyal.kind" -}}
{{- if kindIs "string" . -}}a string
{{- else if kindIs "bool" . -}}true or false
{{- else if kindIs "map" . -}}a map
{{- else if kindIs "slice" . -}}a list
{{- else if kindIs "invalid" . -}}nothing
{{- else -}}a number{{- end -}}
{{- end }}

{{/* A value of TOML. Numbers of values are floating-point ones: 604800000 must not become 6.048e+08. */}}
{{- define "sinyal.toml" -}}
{{- if kindIs "string" . -}}
{{ toRawJson . }}
{{- else if kindIs "slice" . -}}
[{{ range $at, $item := . }}{{ if $at }}, {{ end }}{{ include "sinyal.toml" $item }}{{ end }}]
{{- else if kindIs "map" . -}}
{ {{- $first := true }}{{ range $key, $value := . }}{{ if not $first }},{{ end }} {{ toRawJson $key }} = {{ include "sinyal.toml" $value }}{{ $first = false }}{{ end }} }
{{- else if kindIs "float64" . -}}
{{ if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{/*
The same where the default is known: TOML tells 1.0 from 1, and a value that is whole must be floating-point where its default is.
*/}}
{{- define "sinyal.tomlLike" -}}
{{- $like := .like -}}
{{- if and (kindIs "map" .value) (kindIs "map" $like) -}}
{ {{- $first := true }}{{ range $key, $value := .value }}{{ if not $first }},{{ end }} {{ toRawJson $key }} = {{ include "sinyal.tomlLike" (dict "value" $value "like" (get $like $key)) }}{{ $first = false }}{{ end }} }
{{- else -}}
{{- $text := include "sinyal.toml" .value -}}
{{- if and (kindIs "float64" $like) (regexMatch "^-?[0-9]+$" $text) -}}{{ $text }}.0{{- else -}}{{ $text }}{{- end -}}
{{- end -}}
{{- end }}

{{/* Properties of librdkafka that a role has: its own over those of all. Takes a dict of root and role. */}}
{{- define "sinyal.kafkaProperties" -}}
{{- $own := (get .root.Values .role | default dict).kafka | default dict -}}
{{ merge (dict) ($own.properties | default dict) .root.Values.kafka.properties | toYaml }}
{{- end }}

{{/*
The file of one role. Takes a dict of root and role, and job: true where the registry of communities may not be there yet. It may name no
secret that the role's pods do not have: they would not start.
*/}}
{{- define "sinyal.configFile" -}}
{{- include "sinyal.check" .root -}}
{{- $text := include "sinyal.configText" . -}}
{{- $role := .role -}}
{{- $files := .root.Values.secretFiles -}}
{{- range regexFindAll "/etc/sinyal/secrets/[A-Za-z0-9._-]*" $text -1 | uniq -}}
  {{- $name := base . -}}
  {{- if not (hasKey $files $name) -}}
    {{- fail (printf "%s.toml names %s, which secretFiles does not name" $role .) -}}
  {{- end -}}
  {{- if not (include "sinyal.getsSecret" (dict "file" (get $files $name) "role" $role)) -}}
    {{- fail (printf "secretFiles.%s: %s.toml names it, and only %s gets it; add %s to its roles" $name $role (join ", " (get $files $name).roles) $role) -}}
  {{- end -}}
{{- end -}}
{{ $text }}
{{- end }}

{{- define "sinyal.configText" -}}
{{- $values := .root.Values -}}
{{- $own := (get $values .role | default dict).kafka | default dict -}}
{{- $defaults := .root.Files.Get "files/default.toml" | fromToml -}}
{{- $config := deepCopy ($values.config | default dict) -}}
{{- $kafka := dict "bootstrap" $values.kafka.bootstrap -}}
{{- with include "sinyal.kafkaProperties" . | fromYaml -}}{{- $_ := set $kafka "properties" . -}}{{- end -}}
{{- with merge (dict) ($own.propertyFiles | default dict) $values.kafka.propertyFiles -}}
  {{- $files := dict -}}
  {{- range $property, $file := . -}}{{- $_ := set $files $property (include "sinyal.secretPath" $file) -}}{{- end -}}
  {{- $_ := set $kafka "property_files" $files -}}
{{- end -}}
{{- $_ := set $config "kafka" (merge $kafka ($config.kafka | default dict)) -}}
{{- if and (not .job) (include "sinyal.registryMap" .root) -}}
  {{- $_ := set $config "communities" (merge (dict "file" "/etc/sinyal/communities/communities.toml") ($config.communities | default dict)) -}}
{{- end -}}
{{- if and (not (has .role (list "notify" "test"))) (hasKey $config "notify") -}}
  {{- /* Only the notifier has the secrets of targets. */ -}}
  {{- $_ := set $config "notify" (omit $config.notify "targets" "acknowledge_token_file") -}}
{{- end -}}
{{- if and (not (has .role (list "sink" "test"))) (hasKey $config "sink") -}}
  {{- $_ := unset $config "sink" -}}
{{- end -}}
{{- range $key, $value := $config }}
{{- if kindIs "slice" $value }}
{{ $key }} = {{ include "sinyal.toml" $value }}
{{- end }}
{{- end }}
{{- range $section, $value := $config }}
{{- if kindIs "map" $value }}

[{{ $section }}]
{{- range $key, $inner := $value }}
{{ toRawJson $key }} = {{ include "sinyal.tomlLike" (dict "value" $inner "like" (get (get $defaults $section) $key)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a secret's file stands. Takes its name in secretFiles. */}}
{{- define "sinyal.secretPath" -}}
/etc/sinyal/secrets/{{ . }}
{{- end }}

{{/* The ConfigMap that holds the registry of communities, if any. */}}
{{- define "sinyal.registryMap" -}}
{{- if .Values.communities.existingConfigMap -}}
{{ .Values.communities.existingConfigMap }}
{{- else if .Values.communities.registry -}}
{{ include "sinyal.fullname" . }}-communities
{{- end -}}
{{- end }}

{{/*
Changes when a role must be started again: routes, alert rules and what queues take are read again by a running process, but not which
queues there are. Takes a dict of root and role.
*/}}
{{- define "sinyal.checksum" -}}
{{- $values := deepCopy .root.Values -}}
{{- $names := list -}}
{{- range $values.config.queues }}{{ $names = append $names .name }}{{ end -}}
{{- $_ := set $values "config" (omit $values.config "routes" "alerts" "queues") -}}
{{- $root := dict "Values" $values "Files" .root.Files "Chart" .root.Chart "Release" .root.Release -}}
{{- printf "%s %v" (include "sinyal.configFile" (dict "root" $root "role" .role)) $names | sha256sum -}}
{{- end }}

{{/* The roles that are on, as a YAML list. A notifier that has nobody to tell would not start. */}}
{{- define "sinyal.roles" -}}
{{- $values := .Values -}}
{{- $told := $values.config.notify | default dict -}}
{{- range list "classify" "community" "notify" "sink" -}}
{{- if and (get $values .).enabled (or (ne . "notify") $told.targets $told.acknowledge_token_file) }}
- {{ . }}
{{- end -}}
{{- end -}}
{{- end }}
