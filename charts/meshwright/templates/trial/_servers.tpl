{{/*
The trial servers, as a JSON list: name; the name and number of the port; the workloads
that use it. One that no service of the release uses is left out.
*/}}
{{- define "meshwright.trial-servers" -}}
{{- $servers := list }}
{{- range list (list "postgres" "postgres" 5432 "database") (list "nats" "nats" 4222 "events") (list "rabbitmq" "amqp" 5672 "events") (list "mail" "smtp" 8026 "mail") }}
{{- $name := index . 0 }}
{{- $users := include "meshwright.users-of" (dict "root" $ "need" (index . 3)) | fromJsonArray }}
{{- if and (get $.Values $name).enabled $users }}
{{- if eq (index . 3) "events" }}{{ $users = append $users "provisioner" }}{{ end }}
{{- $servers = append $servers (dict "name" $name "port" (index . 1) "number" (index . 2) "users" $users) }}
{{- end }}
{{- end }}
{{- $servers | toJson }}
{{- end }}

{{/* Not empty if the release has the trial server of this name. Takes root, name. */}}
{{- define "meshwright.has-trial-server" -}}
{{- range include "meshwright.trial-servers" .root | fromJsonArray }}{{ if eq .name $.name }}true{{ end }}{{ end }}
{{- end }}
