{{/* The identity of a workload in the mesh. It does not use the Kubernetes API. */}}
{{- define "meshwright.service-account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
automountServiceAccountToken: false
{{- end }}
