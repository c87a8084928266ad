{{/*
Limits which connections a workload accepts and opens. Takes root; name; object, the name of the
policy if it is not the workload's; port, the name of the port that it serves, absent if nobody
calls it; from, the workloads that may connect, all if absent; to, the workloads that it calls;
outside, the names of servers beyond the release (networkPolicies.outside). Meshed traffic arrives
at 4143; Linkerd decides which method it may call.
*/}}
{{- define "meshwright.network-policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .object | default (include "meshwright.fullname" .) }}
  labels:
    {{- include "meshwright.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "meshwright.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- if .port }}
  ingress:
    - ports:
        {{- include "meshwright.network-ports" (dict "root" .root "ports" (list .port)) | nindent 8 }}
      {{- if hasKey . "from" }}
      from:
        - podSelector:
            matchLabels:
              app.kubernetes.io/part-of: {{ include "meshwright.prefix" .root }}
            matchExpressions:
              - {key: app.kubernetes.io/name, operator: In, values: {{ .from | toJson | replace "_" "-" }}}
      {{- end }}
    {{- with .root.Values.monitoring.prometheus }}
    - ports:
        {{- include "meshwright.network-ports" (dict "root" $.root "ports" (list "ops" 4191)) | nindent 8 }}
      from:
        {{- range . }}
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: {{ .namespace }}
        {{- end }}
    {{- end }}
  {{- end }}
  egress:
    {{- include "meshwright.network-egress" . | nindent 4 }}
{{- end }}

{{/*
The destinations of a workload: DNS of any cluster, its callees, servers outside, Linkerd's control
plane.
*/}}
{{- define "meshwright.network-egress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- with .to }}
- to:
    - podSelector:
        matchLabels:
          app.kubernetes.io/part-of: {{ include "meshwright.prefix" $.root }}
        matchExpressions:
          - {key: app.kubernetes.io/name, operator: In, values: {{ . | toJson | replace "_" "-" }}}
{{- end }}
{{- range .outside }}
{{- $url := include "meshwright.outside-url" (dict "root" $.root "spec" ($.spec | default dict) "name" .) }}
{{- with get $.root.Values.networkPolicies.outside . }}
{{- $except := .except }}
- ports:
    {{- range include "meshwright.outside-ports" (dict "ports" .ports "url" $url) | fromJsonArray }}
    - port: {{ . }}
    {{- end }}
  to:
    {{- range .cidrs }}
    {{- $block := dict "cidr" . }}
    {{- range $except }}
    {{- if eq (contains ":" .) (contains ":" $block.cidr) }}{{ $_ := set $block "except" (append ($block.except | default list) .) }}{{ end }}
    {{- end }}
    - ipBlock: {{ $block | toJson }}
    {{- end }}
{{- end }}
{{- end }}
{{- if .root.Values.linkerd.enabled }}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .root.Values.linkerd.namespace }}
{{- end }}
{{- end }}

{{/*
The servers beyond the release that a service uses, as a JSON list of names in
networkPolicies.outside: servers of the operator's own, URLs of users, an issuer of tokens that is not
identity, and the collector of traces. A Secret of the operator's own may have the URL of any server. Takes root, spec.
*/}}
{{- define "meshwright.outside" -}}
{{- $outside := include "meshwright.own-servers" . | fromJsonArray }}
{{- if .spec.existingSecret }}
{{- range $need, $server := dict "database" "database" "events" "broker" "mail" "mail" }}
{{- if get $.spec $need }}{{ $outside = append $outside $server | uniq }}{{ end }}
{{- end }}
{{- end }}
{{- if .spec.internet }}{{ $outside = append $outside "internet" }}{{ end }}
{{- if get (.spec.env | default dict) "JWKS_URL" }}{{ $outside = append $outside "issuer" }}{{ end }}
{{- if .root.Values.monitoring.tracesEndpoint }}{{ $outside = append $outside "traces" }}{{ end }}
{{- $outside | toJson }}
{{- end }}

{{/* Those that take the place of a trial server by the values, as a JSON list. Takes root, spec. */}}
{{- define "meshwright.own-servers" -}}
{{- $own := list }}
{{- $values := .root.Values }}
{{- if and .spec.database (or (not $values.postgres.enabled) .spec.databaseUrl) }}{{ $own = append $own "database" }}{{ end }}
{{- if and .spec.events (or (not (include "meshwright.broker" .root)) .spec.brokerUrl) }}{{ $own = append $own "broker" }}{{ end }}
{{- if and .spec.mail (or (not $values.mail.enabled) $values.mail.url) }}{{ $own = append $own "mail" }}{{ end }}
{{- $own | toJson }}
{{- end }}

{{/* The URL of one of those in the values, empty if it is in a Secret of the operator's own. */}}
{{- define "meshwright.outside-url" -}}
{{ get (dict "issuer" (get (.spec.env | default dict) "JWKS_URL") "database" .spec.databaseUrl "broker" .spec.brokerUrl "mail" .root.Values.mail.url "traces" .root.Values.monitoring.tracesEndpoint) .name | default "" }}
{{- end }}

{{/* The ports in the values and those in the URL, which may have several hosts, as a JSON list. */}}
{{- define "meshwright.outside-ports" -}}
{{- $ports := .ports }}
{{- range splitList "," (regexReplaceAll "^.*(://|@)" (regexFind "^[a-z]+://[^/?]+" .url) "") }}
{{- with regexFind ":[0-9]+$" . }}{{ $ports = append $ports (trimPrefix ":" . | int) | uniq }}{{ end }}
{{- end }}
{{- $ports | toJson }}
{{- end }}

{{/*
The workloads of the release that a service connects to, as a JSON list: callees, trial servers, and
the edge, which serves the keys.
*/}}
{{- define "meshwright.peers" -}}
{{- $peers := append (include "meshwright.callees" . | fromJsonArray) "edge" }}
{{- range include "meshwright.trial-servers" .root | fromJsonArray }}
{{- if has $.name .users }}{{ $peers = append $peers .name }}{{ end }}
{{- end }}
{{- $peers | sortAlpha | toJson }}
{{- end }}

{{- define "meshwright.network-ports" -}}
{{- range .ports -}}
- port: {{ . }}
{{ end }}
{{- if .root.Values.linkerd.enabled -}}
- port: 4143
{{- end }}
{{- end }}
