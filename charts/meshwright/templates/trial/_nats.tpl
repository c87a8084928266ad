{{- define "meshwright.nats-container" -}}
command: {{ .values.command | default (list "nats-server" "--config" "/configuration/nats.conf") | toJson }}
ports:
  - name: nats
    containerPort: 4222
  - name: monitor
    containerPort: 8222
{{- range $probe, $period := dict "startupProbe" 1 "readinessProbe" 5 "livenessProbe" 10 }}
{{ $probe }}:
  httpGet:
    path: /healthz{{ if eq $probe "livenessProbe" }}?js-server-only=true{{ end }}
    port: monitor
  timeoutSeconds: 3
  periodSeconds: {{ $period }}
  failureThreshold: {{ eq $probe "startupProbe" | ternary 60 6 }}
{{- end }}
{{- end }}

{{/*
The passwords of the broker's users: each alone, all as NATS reads them, and the URL for the
provisioner.
*/}}
{{- define "meshwright.nats-secret" -}}
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
  {{- $lines := list }}
  {{- range $user, $password := .passwords }}
  {{- $lines = append $lines (printf "%s_PASSWORD: %q\n" (upper $user) $password) }}
  {{ $user }}: {{ $password | b64enc }}
  {{- end }}
  passwords.conf: {{ join "" $lines | b64enc }}
  BROKER_URL: {{ include "meshwright.nats-url" (dict "root" .root "name" "provisioner" "password" .passwords.provisioner) | b64enc }}
{{- end }}

{{/* Takes root; name, the name of the user; password. */}}
{{- define "meshwright.nats-url" -}}
nats://{{ .name }}:{{ .password }}@{{ include "meshwright.fullname" (dict "root" .root "name" "nats") }}:4222
{{- end }}
