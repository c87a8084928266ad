{{- define "meshwright.container" -}}
name: {{ .name | replace "_" "-" }}
{{ include "meshwright.program" . }}
ports:
  {{- range .ports }}
  - name: {{ .name }}
    containerPort: {{ .port }}
  {{- end }}
{{ include "meshwright.variables" . }}
{{ include "meshwright.probes" . }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ include "meshwright.leave-s" . }}
resources:
  {{- toYaml .spec.resources | nindent 2 }}
{{- end }}

{{/* The image of a workload, as JSON: what its own entry does not set is that of all. Takes root, spec. */}}
{{- define "meshwright.image" -}}
{{ mergeOverwrite (deepCopy .root.Values.image) (.spec.image | default dict) | toJson }}
{{- end }}

{{/* The image, the command and the security context. */}}
{{- define "meshwright.program" -}}
{{- $image := include "meshwright.image" . | fromJson -}}
{{- $tag := include "meshwright.text" $image.tag | default .root.Chart.AppVersion -}}
image: {{ $image.repository }}{{ hasPrefix "@" $tag | ternary "" ":" }}{{ $tag }}
imagePullPolicy: {{ $image.pullPolicy }}
command: {{ .spec.command | default (list "python" "-m" .module) | toJson }}
{{- with .spec.args }}
args: {{ toJson . }}
{{- end }}
securityContext:
  {{- include "meshwright.container-security" . | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- if (.root.Values.authorities).configMap }}
  - name: authorities
    mountPath: /authorities
    readOnly: true
  {{- end }}
{{- end }}

{{/*
Migrates the database to the schema of this version, before the service starts. It can run in
several pods at once, and the old version works with the new schema. If it fails, the new pods do
not start and the old ones stay. Of the secrets it gets only the database's URL. A Secret of the
operator takes precedence here too, under the name that mesh.migrations reads first.
*/}}
{{- define "meshwright.migrations" -}}
name: migrations
{{ include "meshwright.program" (dict "root" .root "module" "mesh.migrations" "spec" (dict "image" .spec.image "args" (list .name))) }}
env:
  {{- with .spec.existingSecret }}
  {{- include "meshwright.database-url" (dict "variable" (printf "%s_DATABASE_URL" (upper $.name)) "secret" .) | nindent 2 }}
  {{- end }}
  {{- include "meshwright.database-url" (dict "variable" "DATABASE_URL" "secret" (include "meshwright.fullname" .)) | nindent 2 }}
resources:
  {{- toYaml .spec.resources | nindent 2 }}
{{- end }}

{{- define "meshwright.database-url" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef: {name: {{ .secret }}, key: DATABASE_URL, optional: true}
{{- end }}

{{/*
Seconds for which a pod that is told to stop continues to accept calls. By then Services point to
other pods and earlier connections are renewed (CONNECTION_AGE_S of the gRPC server), so nobody
calls it.
*/}}
{{- define "meshwright.leave-s" }}15{{ end }}

{{/*
The maximum of seconds for which the edge then continues to serve proxies with open connections, and
the seconds without a request that end this earlier.
*/}}
{{- define "meshwright.settle-s" }}10{{ end }}
{{- define "meshwright.quiet-s" }}2{{ end }}

{{/* Seconds for which running calls may continue. */}}
{{- define "meshwright.drain-s" }}20{{ end }}

{{/*
Seconds after which Kubernetes kills a pod: the sum of the above, or of longer times in the variables
of the values, and 13 more. Takes spec.
*/}}
{{- define "meshwright.termination-grace-s" }}
{{- $seconds := add (include "meshwright.leave-s" .) 13 }}
{{- range $variable, $time := dict "DRAIN_S_MAX" "settle" "DRAIN_QUIET_S" "quiet" "SHUTDOWN_GRACE_S" "drain" }}
{{- $own := get ($.spec.env | default dict) $variable | float64 | ceil | int }}
{{- $seconds = add $seconds (max $own (include (printf "meshwright.%s-s" $time) $)) }}
{{- end }}
{{- $seconds }}
{{- end }}
