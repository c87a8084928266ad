{{/* The environment variables of a process. */}}
{{- define "meshwright.variables" -}}
env:
  {{- if and (eq .kind "edge") .spec.trustedProxies .root.Values.linkerd.enabled }}
  - name: POD_IPS
    valueFrom:
      fieldRef: {fieldPath: status.podIPs}
  {{- end }}
  {{- range $name, $value := include "meshwright.environment" . | fromYaml }}
  - name: {{ $name }}
    value: {{ include "meshwright.text" $value | quote }}
  {{- end }}
{{- if eq .kind "service" }}
{{ include "meshwright.secret-variables" . }}
{{- end }}
{{- end }}

{{/* A value as text. Helm reads numbers as floats, and toString would write 10485760 as 1.048576e+07. */}}
{{- define "meshwright.text" -}}
{{ kindIs "string" . | ternary . (toJson .) }}
{{- end }}

{{/* Secret variables: the operator's own Secret takes precedence over the chart's. */}}
{{- define "meshwright.secret-variables" -}}
envFrom:
  - secretRef:
      name: {{ include "meshwright.fullname" . }}
  {{- with .spec.existingSecret }}
  - secretRef:
      name: {{ . }}
  {{- end }}
{{- end }}

{{/* The variables that are not secret, by name. Those of the values take precedence. */}}
{{- define "meshwright.environment" -}}
{{- $common := include "meshwright.common-environment" .root | fromYaml -}}
{{- $own := include (printf "meshwright.%s-environment" .kind) . | fromYaml -}}
{{ mergeOverwrite $common $own (.spec.env | default dict) | toYaml }}
{{- end }}

{{- define "meshwright.common-environment" -}}
LISTEN_HOST: 0.0.0.0
OPS_PORT: 9090
LOG_FORMAT: json
SHUTDOWN_GRACE_S: {{ include "meshwright.drain-s" . }}
{{- if .Values.linkerd.enabled }}
SERVICE_MESH: true
{{- end }}
TOKEN_ISSUER: {{ .Values.publicUrl }}
TOKEN_AUDIENCE: meshwright
{{- with .Values.monitoring.tracesEndpoint }}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ . }}
{{- end }}
{{- end }}

{{- define "meshwright.service-environment" -}}
GRPC_PORT: 9000
JWKS_URL: {{ include "meshwright.edge-url" .root }}/.well-known/jwks.json
ENDED_TOKENS_URL: {{ include "meshwright.edge-url" .root }}/v1/oauth2/endedTokens
{{- range include "meshwright.callees" . | fromJsonArray }}
{{ upper . }}_ADDRESS: {{ include "meshwright.fullname" (dict "root" $.root "name" .) }}:9000
{{- end }}
{{- if has .name (include "meshwright.clients" .root | fromJsonArray) }}
TOKEN_URL: {{ include "meshwright.edge-url" .root }}/v1/oauth2/workloadToken
CLIENT_ID: {{ .name }}
{{- end }}
{{- end }}

{{- define "meshwright.edge-environment" -}}
PORT: 8080
DRAIN_QUIET_S: {{ include "meshwright.quiet-s" .root }}
DRAIN_S_MAX: {{ include "meshwright.settle-s" .root }}
CONTRACTS: gen/contracts.binpb
JWKS_URL: http://127.0.0.1:8080/.well-known/jwks.json
ENDED_TOKENS_URL: http://127.0.0.1:8080/v1/oauth2/endedTokens
{{- $upstreams := list }}
{{- range $workload, $services := include "meshwright.contracts" .root | fromJson }}
{{- $address := printf "%s:9000" (include "meshwright.fullname" (dict "root" $.root "name" $workload)) }}
{{- range keys $services | sortAlpha }}{{ $upstreams = append $upstreams (printf "%s=%s" . $address) }}{{ end }}
{{- end }}
UPSTREAMS: {{ join "," $upstreams | quote }}
{{- with .spec.trustedProxies }}
{{- /* Linkerd's proxy connects to the address that the client asked for, so from the pod's own; before 2.11 from the loopback's. */}}
TRUSTED_PROXIES: {{ concat ($.root.Values.linkerd.enabled | ternary (list "$(POD_IPS)" "127.0.0.1" "::1") list) . | join "," | quote }}
{{- end }}
{{- end }}

{{- define "meshwright.edge-url" -}}
http://{{ include "meshwright.fullname" (dict "root" . "name" "edge") }}
{{- end }}
