{{/* A port that all pods of the release have. Takes root, name, port. */}}
{{- define "meshwright.release-server" -}}
apiVersion: policy.linkerd.io/v1beta3
kind: Server
metadata:
  name: {{ .name }}
  labels:
    {{- include "meshwright.release-labels" .root | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "meshwright.release-selector" .root | nindent 6 }}
  port: {{ .port }}
  proxyProtocol: HTTP/1
  accessPolicy: deny
{{- end }}

{{/*
Paths of the operations port, and their callers. A route like this replaces the proxy's implicit
ones, so the probes need a route too. The proxy's own port must have no route, or its own probes
fail. Takes root, name, server, paths, authentication.
*/}}
{{- define "meshwright.operations-route" -}}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: {{ .name }}
  labels:
    {{- include "meshwright.release-labels" .root | nindent 4 }}
spec:
  parentRefs:
    - group: policy.linkerd.io
      kind: Server
      name: {{ .server }}
  rules:
    - matches:
        {{- range .paths }}
        - method: GET
          path:
            type: Exact
            value: {{ . }}
        {{- end }}
---
{{ include "meshwright.authorization" (dict "name" .name "labels" (include "meshwright.release-labels" .root) "target" (dict "group" "gateway.networking.k8s.io" "kind" "HTTPRoute" "name" .name) "authentication" .authentication) }}
{{- end }}
