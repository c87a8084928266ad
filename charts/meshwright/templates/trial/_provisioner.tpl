{{/*
Makes what carries events in the trial broker, and again should they get lost. It is a pod of its own: in the broker's, each
version of our image would restart the broker, and one that is not there would stop it. Takes root, name, spec.
*/}}
{{- define "meshwright.provisioner" -}}
{{ include "meshwright.service-account" . }}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  replicas: 1
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
      {{- include "meshwright.provisioner-pod" . | nindent 6 }}
{{- end }}

{{/* Nobody calls it, so it has no port, and it is ready once it runs. */}}
{{- define "meshwright.provisioner-pod" -}}
{{ include "meshwright.pod-base" (dict "root" .root "name" .name "spec" .spec "user" 10001) }}
containers:
  - name: {{ .name }}
    {{- include "meshwright.program" (dict "root" .root "module" "mesh.events.provision" "spec" (dict "args" (list "--keep"))) | nindent 4 }}
    env:
      - name: BROKER_URL
        valueFrom:
          secretKeyRef:
            name: {{ include "meshwright.fullname" (dict "root" .root "name" (include "meshwright.broker" .root)) }}
            key: BROKER_URL
    resources:
      requests: {cpu: 10m, memory: 48Mi}
      limits: {memory: 128Mi}
volumes:
  {{- include "meshwright.volumes" .root | nindent 2 }}
{{- end }}
