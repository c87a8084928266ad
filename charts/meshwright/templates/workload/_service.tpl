{{- define "meshwright.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "meshwright.fullname" . }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
  {{- if and .root.Values.linkerd.enabled (eq .kind "service") }}
  annotations:
    {{- include "meshwright.circuit-breaker" . | nindent 4 }}
  {{- end }}
spec:
  {{- with .spec.service }}
  type: {{ .type }}
  {{- if ne .type "ClusterIP" }}
  externalTrafficPolicy: {{ .externalTrafficPolicy | default ($.spec.trustedProxies | empty | ternary "Local" "Cluster") }}
  {{- end }}
  {{- end }}
  selector:
    {{- include "meshwright.selector" . | nindent 4 }}
  ports:
    {{- range .ports }}
    {{- if .servicePort }}
    - name: {{ .name }}
      port: {{ .servicePort }}
      targetPort: {{ .name }}
      appProtocol: {{ .appProtocol }}
    {{- end }}
    {{- end }}
{{- end }}
