{{/*
A trial server with its configuration. Takes what a workload takes, and: values; files, names below
files/; container, YAML for its container; secretItems, YAML: the items of its Secret that it reads;
checksum, a text whose change restarts it.
*/}}
{{- define "meshwright.trial-server" -}}
{{ include "meshwright.service-account" . }}
---
{{ include "meshwright.service" . }}
---
{{ include "meshwright.configuration" . }}
---
{{ include "meshwright.stateful-set" . }}
{{- end }}

{{- define "meshwright.configuration" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
data:
  {{- range .files }}
  {{ . }}: |
    {{- $.root.Files.Get (printf "files/%s" .) | nindent 4 }}
  {{- end }}
{{- end }}
