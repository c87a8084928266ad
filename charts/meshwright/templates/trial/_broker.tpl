{{/* The trial broker that is enabled: nats, rabbitmq or nothing. Takes the root. */}}
{{- define "meshwright.broker" -}}
{{- if .Values.nats.enabled }}nats{{ else if .Values.rabbitmq.enabled }}rabbitmq{{ end }}
{{- end }}

{{/* The URL of the trial broker for a user, empty without one. Takes root; name, the name of the user; password. */}}
{{- define "meshwright.broker-url" -}}
{{- with include "meshwright.broker" .root }}{{ include (printf "meshwright.%s-url" .) $ }}{{ end }}
{{- end }}
