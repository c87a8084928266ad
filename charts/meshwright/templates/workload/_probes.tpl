{{/*
All probes use the operations port, by HTTP: under Linkerd's default deny, gRPC probes never
succeed.
*/}}
{{- define "meshwright.probes" -}}
startupProbe:
  {{- include "meshwright.probe" "/livez" | nindent 2 }}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  {{- include "meshwright.probe" "/livez" | nindent 2 }}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  {{- include "meshwright.probe" "/readyz" | nindent 2 }}
  periodSeconds: 3
  failureThreshold: 2
{{- end }}

{{- define "meshwright.probe" -}}
httpGet:
  path: {{ . }}
  port: ops
timeoutSeconds: 3
{{- end }}
