{{- define "meshwright.postgres-container" -}}
command: {{ .values.command | default (list "sh" "/configuration/start-postgres.sh") | toJson }}
env:
  - name: PGDATA
    value: /data/postgres
  - name: MAX_CONNECTIONS
    value: {{ .connections | quote }}
ports:
  - name: postgres
    containerPort: 5432
startupProbe:
  {{- include "meshwright.postgres-probe" . | nindent 2 }}
  periodSeconds: 1
  failureThreshold: 120
readinessProbe:
  {{- include "meshwright.postgres-probe" . | nindent 2 }}
  periodSeconds: 5
lifecycle:
  preStop:
    exec: # the fast shutdown: the one that SIGTERM asks for waits until every client has left
      command: [sh, -c, "kill -INT 1"]
{{- end }}

{{/*
The connections that the pods of all services may hold, and 20 more. A pod holds its pool and at most 3
sessions: those of its inbox, its relay and its listener, or of notifications' inbox and of the two
workers that mail, which record a mail although their transaction may fail. In a rolling update a
service has its old pods and its new ones. Takes root; databases, the names of the services that have one.
*/}}
{{- define "meshwright.postgres-connections" -}}
{{- $connections := 20 }}
{{- $databases := .databases }}
{{- range $name, $spec := include "meshwright.services" .root | fromJson }}
{{- if has $name $databases }}
{{- $pods := ternary $spec.autoscaling.maxReplicas $spec.replicas $spec.autoscaling.enabled }}
{{- $pool := get ($spec.env | default dict) "DATABASE_POOL_SIZE" | default 5 | int }}
{{- $connections = add $connections (mul 2 $pods (add $pool 3)) }}
{{- end }}
{{- end }}
{{- $connections }}
{{- end }}

{{/* Of a connection up to 7 MB, and 384 MB for shared buffers and maintenance. Takes the number of connections. */}}
{{- define "meshwright.postgres-memory" -}}
{{ add 384 (mul 7 .) }}Mi
{{- end }}

{{/*
The server's lock file has its state in a line of its own. A TCP probe would always succeed, because the
mesh's proxy accepts the connection. The probe is one process: what a shell had started would outlive a
probe that took too long, as a child of the server, which takes the end of a child that it does not know
for a crash, and ends every connection. There is no liveness probe: starting a process in the container
takes longest on a busy node, where a restart would end the work of every service, and a server that has
ended is restarted without one.
*/}}
{{- define "meshwright.postgres-probe" -}}
exec:
  command: [grep, -q, ^ready, /data/postgres/postmaster.pid]
timeoutSeconds: 10
{{- end }}

{{- define "meshwright.postgres-secret" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
data:
  {{- range $name, $password := .passwords }}
  {{ $name }}: {{ $password | b64enc }}
  {{- end }}
{{- end }}

{{- define "meshwright.postgres-passwords" -}}
{{- range . }}
- {key: {{ . }}, path: passwords/{{ . }}}
{{- end }}
{{- end }}

{{/* Takes root, name, password. */}}
{{- define "meshwright.postgres-url" -}}
postgresql://{{ .name }}:{{ .password }}@{{ include "meshwright.fullname" (dict "root" .root "name" "postgres") }}:5432/{{ .name }}
{{- end }}
