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
  password: {{ .password | b64enc }}
  users.conf: {{ printf "authorization { user: meshwright, password: %q }\n" .password | b64enc }}
{{- end }}

{{/* Takes root, password. */}}
{{- define "meshwright.nats-url" -}}
nats://meshwright:{{ .password }}@{{ include "meshwright.fullname" (dict "root" .root "name" "nats") }}:4222
{{- end }}
