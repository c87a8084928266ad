{{/* A port of the pods of a workload. Takes root, name, port, protocol, access. */}}
{{- define "meshwright.server" -}}
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "meshwright.selector" . | nindent 6 }}
  port: {{ .port }}
  proxyProtocol: {{ .protocol }}
  accessPolicy: {{ .access }}
{{- end }}
