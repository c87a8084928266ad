{{/*
The methods of a workload that the same callers may call, and those callers. Takes root; name;
route, the name of all three objects; callers, ServiceAccounts as {name, namespace}; methods.
*/}}
{{- define "meshwright.inbound-route" -}}
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata:
  name: {{ .route }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  parentRefs:
    - group: policy.linkerd.io
      kind: Server
      name: {{ include "meshwright.fullname" . }}
  rules:
    - matches:
        {{- include "meshwright.method-matches" .methods | nindent 8 }}
---
{{ include "meshwright.authentication" (dict "root" .root "name" .route "labels" (include "meshwright.labels" .) "accounts" .callers) }}
---
{{ include "meshwright.authorization" (dict "name" .route "labels" (include "meshwright.labels" .) "target" (dict "group" "gateway.networking.k8s.io" "kind" "GRPCRoute" "name" .route) "authentication" (dict "kind" "MeshTLSAuthentication" "name" .route)) }}
{{- end }}

{{- define "meshwright.method-matches" -}}
{{- range . -}}
- method:
    service: {{ .service }}
    {{- with .method }}
    method: {{ . }}
    {{- end }}
{{ end }}
{{- end }}
