{{/* Stops the installation with a message if a value is wrong, or if the cluster lacks something. */}}
{{- define "meshwright.checks" -}}
{{- include "meshwright.check-linkerd" . }}
{{- include "meshwright.check-names" . }}
{{- include "meshwright.check-broker" . }}
{{- include "meshwright.check-monitoring" . }}
{{- include "meshwright.check-proxies" . }}
{{- include "meshwright.check-direct-clients" . }}
{{- include "meshwright.check-workload" (dict "root" . "place" "workloads" "spec" .Values.workloads "values" .Values.workloads) }}
{{- with include "meshwright.edge" . | fromJson }}
{{- include "meshwright.check-workload" (dict "root" $ "place" "edge" "spec" . "values" $.Values.edge) }}
{{- end }}
{{- range $name, $spec := include "meshwright.services" . | fromJson }}
{{- $values := get ($.Values.services | default dict) $name | default dict }}
{{- include "meshwright.check-workload" (dict "root" $ "place" (printf "services.%s" $name) "spec" $spec "values" $values) }}
{{- include "meshwright.check-contract" (dict "root" $ "name" $name) }}
{{- include "meshwright.check-secret" (dict "root" $ "name" $name "spec" $spec) }}
{{- end }}
{{- end }}

{{- define "meshwright.check-linkerd" -}}
{{- if .Values.linkerd.enabled }}
{{- $apis := list "policy.linkerd.io/v1beta3/Server" "gateway.networking.k8s.io/v1/GRPCRoute" }}
{{- range $apis }}
{{- if not ($.Capabilities.APIVersions.Has .) }}
{{- fail (printf "\n\nThis cluster does not know %s. Install the Gateway API, and Linkerd:\n\n    linkerd install --crds | kubectl apply -f - && linkerd install | kubectl apply -f -\n\nor install without Linkerd: --set linkerd.enabled=false. (helm template asks no cluster; pass it --api-versions %s)" . (join " --api-versions " $apis)) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Names of Services are labels of DNS that begin with a letter. The name of a StatefulSet is part of a label of its pods,
with a hash of 11 characters (controller-revision-hash).
*/}}
{{- define "meshwright.check-names" -}}
{{- $lengths := dict }}
{{- if .Values.edge.enabled }}{{ $_ := set $lengths "edge" 63 }}{{ end }}
{{- range $name, $_ := include "meshwright.services" . | fromJson }}{{ $_ := set $lengths $name 63 }}{{ end }}
{{- range include "meshwright.trial-servers" . | fromJsonArray }}{{ $_ := set $lengths .name (eq .name "mail" | ternary 63 52) }}{{ end }}
{{- range $name, $length := $lengths }}
{{- $full := include "meshwright.fullname" (dict "root" $ "name" $name) }}
{{- if or (gt (len $full) $length) (not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full)) }}
{{- fail (printf "\n\nThe objects of %s would have the name %s, which Kubernetes rejects: at most %d letters, digits and hyphens, a letter first. The release has the name %s; set a prefix of at most 24 characters: --set prefix=shop" $name $full (int $length) $.Release.Name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "meshwright.check-broker" -}}
{{- if and .Values.nats.enabled .Values.rabbitmq.enabled }}
{{- fail "\n\nnats and rabbitmq are both enabled, but events have one broker. Disable one: --set nats.enabled=false" }}
{{- end }}
{{- $brokers := dict }}
{{- with include "meshwright.broker" . }}{{ $_ := set $brokers . (printf "%s is enabled" .) }}{{ end }}
{{- range $name, $spec := include "meshwright.services" . | fromJson }}
{{- with and $spec.events $spec.brokerUrl }}
{{- $broker := hasPrefix "amqp" . | ternary "rabbitmq" "nats" }}
{{- $_ := set $brokers $broker (printf "services.%s.brokerUrl is a URL of %s" $name $broker) }}
{{- end }}
{{- end }}
{{- if gt (len $brokers) 1 }}
{{- fail (printf "\n\n%s, but %s, and events have one broker. Let all URLs be those of one, and disable the trial server of the other." $brokers.nats $brokers.rabbitmq) }}
{{- end }}
{{- end }}

{{/* Takes root; place; spec, the workload's values merged with the defaults; values, those that stand at the place. */}}
{{- define "meshwright.check-workload" -}}
{{- with .spec.autoscaling }}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "\n\n%s.autoscaling: minReplicas is %v, but maxReplicas is %v. Set maxReplicas to at least minReplicas." $.place .minReplicas .maxReplicas) }}
{{- end }}
{{- end }}
{{- $secrets := list "DATABASE_URL" "BROKER_URL" "SMTP_URL" "CLIENT_SECRET" "SERVICE_CLIENTS" }}
{{- range .root.Files.Get "services.yaml" | fromYaml }}{{ $secrets = concat $secrets (.generatedSecrets | default list) }}{{ end }}
{{- range $name, $_ := .values.env }}
{{- if has $name (list "PORT" "GRPC_PORT" "OPS_PORT") }}
{{- fail (printf "\n\n%s.env.%s: the chart sets the ports, because its probes and Services name them. Remove this variable." $.place $name) }}
{{- end }}
{{- if has $name $secrets }}
{{- fail (printf "\n\n%s.env.%s: this variable is secret. Set the service's existingSecret to a Secret that contains it, or see databaseUrl, brokerUrl and mail in values.yaml." $.place $name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "meshwright.check-monitoring" -}}
{{- range $value, $kind := dict "podMonitor" "PodMonitor" "alerts" "PrometheusRule" }}
{{- if and (get $.Values.monitoring $value) (not ($.Capabilities.APIVersions.Has (printf "monitoring.coreos.com/v1/%s" $kind))) }}
{{- fail (printf "\n\nmonitoring.%s is enabled, but this cluster does not know monitoring.coreos.com/v1/%s. Install the Prometheus operator, or set monitoring.%s=false." $value $kind $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Behind a proxy that the edge does not trust, all clients have the proxy's address, and share its limits. */}}
{{- define "meshwright.check-proxies" -}}
{{- range $value := list "ingress" "gateway" }}
{{- if and $.Values.edge.enabled (get $.Values $value).enabled (not $.Values.edge.trustedProxies) }}
{{- fail (printf "\n\n%s is enabled, but edge.trustedProxies is empty: the edge would trust no X-Forwarded-For, and all clients would count as one. Set it to the addresses or networks of your ingress controller or gateway, for example those of its pods (kubectl get pods -A -o wide):\n\n    --set 'edge.trustedProxies={10.0.0.0/8}'" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "meshwright.check-direct-clients" -}}
{{- with .Values.edge }}
{{- $skipped := regexMatch "(^|,)\\s*(8080|http)\\s*(,|$)" (get (.podAnnotations | default dict) "config.linkerd.io/skip-inbound-ports" | default "") }}
{{- if and .enabled $.Values.linkerd.enabled (ne .service.type "ClusterIP") (not .trustedProxies) (not $skipped) }}
{{- fail (printf "\n\nedge.service.type is %s, but under Linkerd the edge sees the address of its own proxy for every client: all clients would count as one. Put an ingress in front and list it in edge.trustedProxies, or let the edge's port bypass Linkerd, so that clients connect to the edge itself:\n\n    --set-string 'edge.podAnnotations.config\\.linkerd\\.io/skip-inbound-ports=8080'" .service.type) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "meshwright.check-contract" -}}
{{- $known := include "meshwright.contracts" .root | fromJson }}
{{- if not (hasKey $known .name) }}
{{- fail (printf "\n\nservices.%s: there is no contract for this workload. There are contracts for %s. After a change of proto/, run `make generate`." .name (keys $known | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}

{{/* A service needs the URLs of its database, its broker and its mail server. */}}
{{- define "meshwright.check-secret" -}}
{{- $values := .root.Values }}
{{- $missing := list }}
{{- if and .spec.database (not $values.postgres.enabled) (not .spec.databaseUrl) }}{{ $missing = append $missing "DATABASE_URL" }}{{ end }}
{{- if and .spec.events (not (include "meshwright.broker" .root)) (not .spec.brokerUrl) }}{{ $missing = append $missing "BROKER_URL" }}{{ end }}
{{- if and .spec.mail (not $values.mail.enabled) (not $values.mail.url) }}{{ $missing = append $missing "SMTP_URL" }}{{ end }}
{{- if .spec.existingSecret }}
{{- include "meshwright.check-existing-secret" (merge (dict "missing" $missing) .) }}
{{- else if $missing }}
{{- fail (printf "\n\nservices.%s needs %s. Set services.%s.existingSecret to a Secret that contains it, or see databaseUrl, brokerUrl and mail in values.yaml." .name (join " and " $missing) .name) }}
{{- end }}
{{- end }}

{{/* Checks Secrets only if there is a cluster to ask: every namespace has the ServiceAccount "default". */}}
{{- define "meshwright.check-existing-secret" -}}
{{- $namespace := .root.Release.Namespace }}
{{- if lookup "v1" "ServiceAccount" $namespace "default" }}
{{- $secret := lookup "v1" "Secret" $namespace .spec.existingSecret }}
{{- if not $secret }}
{{- fail (printf "\n\nservices.%s.existingSecret: there is no Secret %s in the namespace %s. Create it first." .name .spec.existingSecret $namespace) }}
{{- end }}
{{- range .missing }}
{{- if not (hasKey ($secret.data | default dict) .) }}
{{- fail (printf "\n\nservices.%s.existingSecret: the Secret %s has no key %s." $.name $.spec.existingSecret .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
