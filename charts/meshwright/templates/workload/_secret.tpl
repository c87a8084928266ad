{{/*
The secret variables of a service. They remain when the release is uninstalled, because databases
and sign-ins outlive it.
*/}}
{{- define "meshwright.secret" -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
  annotations:
    helm.sh/resource-policy: keep
type: Opaque
data: {{- with include "meshwright.secret-environment" . | fromYaml }}
  {{- range $name, $value := . }}
  {{ $name }}: {{ $value | b64enc }}
  {{- end }}
  {{- else }} {}
  {{- end }}
{{- end }}

{{- define "meshwright.secret-environment" -}}
{{- $values := .root.Values -}}
{{- with get .generated.own .name }}{{ toYaml . }}{{ end }}
{{- with get .generated.clients .name }}
CLIENT_SECRET: {{ . }}
{{- end }}
{{- if .spec.issuesTokens }}
SERVICE_CLIENTS: {{ .generated.clients | toJson | quote }}
{{- end }}
{{- if .spec.database }}
{{- with .spec.databaseUrl | default ($values.postgres.enabled | ternary (include "meshwright.postgres-url" (dict "root" .root "name" .name "password" (get .generated.databases .name))) "") }}
DATABASE_URL: {{ . | quote }}
{{- end }}
{{- end }}
{{- if .spec.events }}
{{- with .spec.brokerUrl | default (include "meshwright.broker-url" (dict "root" .root "name" .name "password" (get .generated.broker .name))) }}
BROKER_URL: {{ . | quote }}
{{- end }}
{{- end }}
{{- if .spec.mail }}
{{- with $values.mail.url | default ($values.mail.enabled | ternary (include "meshwright.mail-url" .) "") }}
SMTP_URL: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
