{{/*
All secrets that the chart generates: passwords of databases by service, of the broker's users by
name, secrets of clients by service, and each service's own by service and variable. As JSON.
Include it once a render, because new ones are random. Those of an earlier release are kept.
*/}}
{{- define "meshwright.generated" -}}
{{- $databases := dict }}
{{- $own := dict }}
{{- range $name, $spec := include "meshwright.services" . | fromJson }}
{{- if $spec.database }}
{{- $_ := set $databases $name (include "meshwright.kept" (dict "root" $ "name" "postgres" "key" $name)) }}
{{- end }}
{{- $mine := dict }}
{{- range $spec.generatedSecrets }}
{{- $_ := set $mine . (include "meshwright.kept" (dict "root" $ "name" $name "key" .)) }}
{{- end }}
{{- $_ := set $own $name $mine }}
{{- end }}
{{- $clients := dict }}
{{- $issued := include "meshwright.issued" . | fromJson }}
{{- range include "meshwright.clients" . | fromJsonArray }}
{{- $_ := set $clients . (include "meshwright.kept" (dict "root" $ "name" . "key" "CLIENT_SECRET" "issued" (get $issued .))) }}
{{- end }}
{{- $broker := dict }}
{{- with include "meshwright.broker" . }}
{{- $server := . }}
{{- range append (include "meshwright.events" $ | fromJson | keys | sortAlpha) "provisioner" }}
{{- $_ := set $broker . (include "meshwright.kept" (dict "root" $ "name" $server "key" .)) }}
{{- end }}
{{- end }}
{{- dict "databases" $databases "broker" $broker "clients" $clients "own" $own | toJson }}
{{- end }}

{{/*
The value of a key in the Secret of a workload; if there is no Secret yet, `issued`, which may be
empty; otherwise 32 random letters and digits. Takes root, name, key, issued.
*/}}
{{- define "meshwright.kept" -}}
{{- $secret := lookup "v1" "Secret" .root.Release.Namespace (include "meshwright.fullname" .) | default dict }}
{{- with get ($secret.data | default dict) .key }}{{ b64dec . }}
{{- else }}{{ $secret | empty | ternary .issued "" | default (randAlphaNum 32) }}
{{- end }}
{{- end }}

{{/*
The secrets of clients that the issuer of tokens has, by service, as JSON. They may be those of services that
another release with the same prefix will bring.
*/}}
{{- define "meshwright.issued" -}}
{{- $issued := dict }}
{{- range $name, $declared := .Files.Get "services.yaml" | fromYaml }}
{{- if $declared.issuesTokens }}
{{- $secret := lookup "v1" "Secret" $.Release.Namespace (include "meshwright.fullname" (dict "root" $ "name" $name)) | default dict }}
{{- with get ($secret.data | default dict) "SERVICE_CLIENTS" }}{{ $issued = b64dec . | fromJson }}{{ end }}
{{- end }}
{{- end }}
{{- $issued | toJson }}
{{- end }}
