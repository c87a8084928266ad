{{- define "meshwright.stateful-set" -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  replicas: 1
  serviceName: {{ include "meshwright.fullname" . }}
  selector:
    matchLabels:
      {{- include "meshwright.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "meshwright.pod-labels" . | nindent 8 }}
      annotations:
        {{- $files := list }}
        {{- range .files }}{{ $files = append $files ($.root.Files.Get (printf "files/%s" .)) }}{{ end }}
        checksum/configuration: {{ append $files .checksum | toJson | sha256sum | trunc 16 }}
        {{- if .root.Values.linkerd.enabled }}
        {{- include "meshwright.linkerd-annotations" . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "meshwright.stateful-pod" . | nindent 6 }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .values.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ .values.storage }}
{{- end }}
