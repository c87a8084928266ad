{{/*
The server of the image, as it is: the entry point of the image would change files that it may not
change. Erlang keeps the cookie of the node in its home. A probe by RabbitMQ's own programs takes seconds
of CPU, so only the rare one is; the others look for the listening socket, 5672 in hexadecimal.
*/}}
{{- define "meshwright.rabbitmq-container" -}}
command: {{ .values.command | default (list "rabbitmq-server") | toJson }}
env:
  - {name: HOME, value: /data}
  - {name: RABBITMQ_NODENAME, value: rabbit@localhost}
  - {name: RABBITMQ_CONFIG_FILE, value: /configuration/rabbitmq.conf}
  - {name: RABBITMQ_ENABLED_PLUGINS_FILE, value: /configuration/enabled_plugins}
  - {name: RABBITMQ_MNESIA_BASE, value: /data/mnesia}
  - {name: RABBITMQ_GENERATED_CONFIG_DIR, value: /tmp/generated}
  - {name: RABBITMQ_PID_FILE, value: /tmp/rabbitmq.pid}
  - {name: RABBITMQ_LOGS, value: "-"}
ports:
  - name: amqp
    containerPort: 5672
{{- range $probe, $period := dict "startupProbe" 1 "readinessProbe" 5 }}
{{ $probe }}:
  exec:
    command: [grep, -q, ":1628 [0-9A-F]*:0000 0A", /proc/net/tcp, /proc/net/tcp6]
  timeoutSeconds: 10
  periodSeconds: {{ $period }}
  failureThreshold: {{ eq $probe "startupProbe" | ternary 120 3 }}
{{- end }}
livenessProbe:
  exec:
    command: [rabbitmq-diagnostics, --quiet, ping]
  timeoutSeconds: 30
  periodSeconds: 60
{{- end }}

{{/*
The passwords of the broker's users: each alone, all in the definitions that RabbitMQ loads when it starts, and the URL
for the provisioner.
*/}}
{{- define "meshwright.rabbitmq-secret" -}}
{{- $definitions := .root.Files.Get "files/rabbitmq-definitions.json" | fromJson }}
{{- $users := list }}
{{- range $definitions.users }}
{{- if hasKey $.passwords .name }}{{ $users = append $users (set . "password" (get $.passwords .name)) }}{{ end }}
{{- end -}}
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
  {{- range $user, $password := .passwords }}
  {{ $user }}: {{ $password | b64enc }}
  {{- end }}
  definitions.json: {{ set $definitions "users" $users | toJson | b64enc }}
  BROKER_URL: {{ include "meshwright.rabbitmq-url" (dict "root" .root "name" "provisioner" "password" .passwords.provisioner) | b64enc }}
{{- end }}

{{/* Takes root; name, the name of the user; password. */}}
{{- define "meshwright.rabbitmq-url" -}}
amqp://{{ .name }}:{{ .password }}@{{ include "meshwright.fullname" (dict "root" .root "name" "rabbitmq") }}:5672/
{{- end }}
