{{/* Where pods may run, and how they rank. Takes a dict of root and of, the values of a role, of the jobs, or of the commands. */}}
{{- define "sinyal.scheduling" -}}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The pod of a role: one process, no shell, nothing it could write to. Takes a dict of root and role. */}}
{{- define "sinyal.pod" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $role := .role -}}
{{- $of := get $values $role -}}
{{- $full := include "sinyal.fullname" $root -}}
metadata:
  labels:
    {{- include "sinyal.labels" . | nindent 4 }}
    {{- with $values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A new configuration starts the role again. The registry of communities is not in it: that is read again by itself.
    sinyal.io/config: {{ include "sinyal.checksum" . }}
    {{- with $values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "sinyal.serviceAccount" $root }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $of.terminationGracePeriodSeconds }}
  securityContext:
    {{- include "sinyal.podSecurity" $root | nindent 4 }}
  topologySpreadConstraints:
    {{- range $topology := $values.topologySpread }}
    - maxSkew: 1
      topologyKey: {{ $topology.topologyKey }}
      whenUnsatisfiable: {{ $topology.whenUnsatisfiable }}
      labelSelector:
        matchLabels:
          {{- include "sinyal.selector" (dict "root" $root "role" $role) | nindent 10 }}
      {{- if ne $role "community" }}
      # While a new version comes up beside the old one, each is spread by itself.
      matchLabelKeys: [pod-template-hash]
      {{- end }}
    {{- end }}
  {{- with include "sinyal.scheduling" (dict "root" $root "of" $of) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  containers:
    - name: {{ $role }}
      image: {{ include "sinyal.image" $root | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args: [run, --role, {{ $role }}]
      env:
        {{- include "sinyal.env" . | nindent 8 }}
      ports:
        - name: http
          containerPort: {{ $values.http.port }}
      startupProbe:
        httpGet: { path: /startupz, port: http }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: {{ div (add $of.startupSeconds 4) 5 }}
      livenessProbe:
        httpGet: { path: /livez, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      resources:
        {{- toYaml $of.resources | nindent 8 }}
      securityContext:
        {{- include "sinyal.containerSecurity" $root | nindent 8 }}
      volumeMounts:
        {{- include "sinyal.mounts" . | nindent 8 }}
  volumes:
    {{- include "sinyal.volumes" . | nindent 4 }}
{{- end }}

{{- define "sinyal.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "sinyal.containerSecurity" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/*
Whether a role gets the secret of the pseudonyms: classify makes them, the notifier seals canaries by it, and some commands look for a person.
Takes a dict of root and role.
*/}}
{{- define "sinyal.getsPseudonym" -}}
{{- $values := .root.Values -}}
{{- $has := or (has .role (list "classify" "notify" "test")) (and (eq .role "commands") $values.commands.pseudonym) -}}
{{- if and $has $values.pseudonym.existingSecret -}}true{{- end -}}
{{- end }}

{{/* Only the community role has lasting names. Takes a dict of root and role. */}}
{{- define "sinyal.env" -}}
{{- $values := .root.Values -}}
- name: SINYAL_CONFIG
  value: /etc/sinyal/config/{{ .role }}.toml
- name: SINYAL__HTTP__LISTEN
  value: 0.0.0.0:{{ $values.http.port }}
{{- if eq .role "community" }}
- name: SINYAL__INSTANCE__ID
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- if include "sinyal.getsPseudonym" . }}
- name: SINYAL__PSEUDONYM__SECRET_FILE
  value: /etc/sinyal/pseudonym/secret
{{- if $values.pseudonym.previous.existingSecret }}
- name: SINYAL__PSEUDONYM__PREVIOUS_SECRET_FILE
  value: /etc/sinyal/pseudonym/previous
- name: SINYAL__PSEUDONYM__PREVIOUS_VERSION
  value: {{ $values.pseudonym.previous.version | int64 | quote }}
{{- end }}
{{- end }}
{{- range $name, $value := $values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "sinyal.mounts" -}}
{{- $values := .root.Values -}}
- name: config
  mountPath: /etc/sinyal/config
  readOnly: true
{{- if include "sinyal.getsPseudonym" . }}
- name: pseudonym
  mountPath: /etc/sinyal/pseudonym
  readOnly: true
{{- end }}
{{- if and (not .job) (include "sinyal.registryMap" .root) }}
- name: communities
  mountPath: /etc/sinyal/communities
  readOnly: true
{{- end }}
{{- if include "sinyal.secretSources" . }}
- name: secrets
  mountPath: /etc/sinyal/secrets
  readOnly: true
{{- end }}
{{- end }}

{{- define "sinyal.volumes" -}}
{{- $values := .root.Values -}}
- name: config
  configMap:
    name: {{ .configMap | default (include "sinyal.fullname" .root) }}
    items:
      - { key: {{ .role }}.toml, path: {{ .role }}.toml }
{{- if include "sinyal.getsPseudonym" . }}
- name: pseudonym
  projected:
    defaultMode: 0440
    sources:
      - secret:
          name: {{ $values.pseudonym.existingSecret }}
          items:
            - { key: {{ $values.pseudonym.key | quote }}, path: secret }
      {{- with $values.pseudonym.previous.existingSecret }}
      - secret:
          name: {{ . }}
          items:
            - { key: {{ $values.pseudonym.previous.key | quote }}, path: previous }
      {{- end }}
{{- end }}
{{- if and (not .job) (include "sinyal.registryMap" .root) }}
- name: communities
  configMap:
    name: {{ include "sinyal.registryMap" .root }}
    items:
      - { key: {{ $values.communities.key | quote }}, path: communities.toml }
{{- end }}
{{- with include "sinyal.secretSources" . }}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- . | nindent 6 }}
{{- end }}
{{- end }}

{{/* Whether a role gets a secret file: one that names it, or nobody. Takes a dict of file and role. */}}
{{- define "sinyal.getsSecret" -}}
{{- if or (not .file.roles) (has .role .file.roles) (eq .role "test") -}}true{{- end -}}
{{- end }}

{{/* The secret files of a role. */}}
{{- define "sinyal.secretSources" -}}
{{- $role := .role -}}
{{- range $name, $file := .root.Values.secretFiles -}}
{{- if include "sinyal.getsSecret" (dict "file" $file "role" $role) }}
- secret:
    name: {{ $file.secret }}
    items:
      - { key: {{ $file.key | quote }}, path: {{ $name | quote }} }
{{- end -}}
{{- end -}}
{{- end }}
