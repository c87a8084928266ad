{{/* The trial broker of the release: nats, rabbitmq or nothing. Takes the root. */}}
{{- define "meshwright.broker" -}}
{{- range list "nats" "rabbitmq" }}{{ if include "meshwright.has-trial-server" (dict "root" $ "name" .) }}{{ . }}{{ end }}{{ end }}
{{- end }}

{{/* The URL of the trial broker for a user, empty without one. Takes root; name, the name of the user; password. */}}
{{- define "meshwright.broker-url" -}}
{{- with include "meshwright.broker" .root }}{{ include (printf "meshwright.%s-url" .) $ }}{{ end }}
{{- end }}
