{{/*
Retries and timeout of some methods of a workload, for all callers. Takes root; name; route; group:
methods, retried, timeout. Without methods it matches all other calls: a Service with routes rejects
calls that none of them matches.
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
