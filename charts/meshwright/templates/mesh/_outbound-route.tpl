{{/*
How calls of some methods of a workload are delivered, whoever makes them. Takes root; name; route; group: methods, retried,
timeout. Without methods it is for all others: a Service with routes refuses what none of them matches.
*/}}
{{- define "meshwright.outbound-route" -}}
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: {{ .route }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
  {{- if or .group.retried .group.timeout }}
  annotations:
    {{- if .group.retried }}
    retry.linkerd.io/grpc: cancelled,unavailable
    retry.linkerd.io/limit: "2"
    {{- end }}
    {{- with .group.timeout }}
    timeout.linkerd.io/request: {{ . }}
    {{- end }}
  {{- end }}
spec:
  parentRefs:
    - group: core
      kind: Service
      name: {{ include "meshwright.fullname" . }}
      port: 9000
  rules:
    - {{ with .group.methods }}matches:
        {{- include "meshwright.method-matches" . | nindent 8 }}
      {{ end }}backendRefs:
        - name: {{ include "meshwright.fullname" . }}
          port: 9000
{{- end }}
