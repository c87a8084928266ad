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

{{/* The image, what it runs, and what that may do. */}}
{{- define "meshwright.program" -}}
{{- $image := mergeOverwrite (deepCopy .root.Values.image) (.spec.image | default dict) -}}
image: {{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
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
{{- end }}

{{/*
Brings the database to the schema that this version needs, before it starts. It may run in several pods at once, and the old
version works on the new schema; if it fails, the new pods do not start and the old ones stay. Of the secrets it gets the database's
URL only; the operator's own, under the name that mesh.migrations reads first, wins here as well.
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
Seconds from the moment a pod is told to go until it stops taking calls: by then Services lead to others, and connections made
before are renewed (CONNECTION_AGE_S in mesh/server.py), so nobody sends it any more.
*/}}
{{- define "meshwright.leave-s" }}15{{ end }}

{{/* Seconds that the edge then goes on answering at most, and without a request, to proxies that hold connections to it. */}}
{{- define "meshwright.settle-s" }}10{{ end }}
{{- define "meshwright.quiet-s" }}2{{ end }}

{{/* Seconds in which calls that began before may finish. */}}
{{- define "meshwright.drain-s" }}20{{ end }}

{{- define "meshwright.termination-grace-s" }}{{ add (include "meshwright.leave-s" .) (include "meshwright.settle-s" .) (include "meshwright.quiet-s" .) (include "meshwright.drain-s" .) 13 }}{{ end }}
