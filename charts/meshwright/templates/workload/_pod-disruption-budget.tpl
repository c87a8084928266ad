{{/* Draining a node evicts one pod at a time. Pods that do not work anyway do not delay it. */}}
{{- define "meshwright.pod-disruption-budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "meshwright.selector" . | nindent 6 }}
{{- end }}
