{{/*
New pods replace old ones one by one, only when they are ready: a version that does not start leaves
the old one serving.
*/}}
{{- define "meshwright.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  {{- if not .spec.autoscaling.enabled }}
  replicas: {{ .spec.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "meshwright.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "meshwright.pod-labels" . | nindent 8 }}
      annotations:
        {{- include "meshwright.pod-annotations" . | nindent 8 }}
    spec:
      {{- include "meshwright.pod" . | nindent 6 }}
{{- end }}
