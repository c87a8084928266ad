{{/* Mounts the data at /data, and the files and the Secret at /configuration. */}}
{{- define "meshwright.stateful-pod" -}}
{{ include "meshwright.pod-base" (dict "root" .root "name" .name "spec" .spec "user" .values.user) }}
containers:
  - name: {{ .name }}
    image: {{ .values.image }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    securityContext:
      {{- include "meshwright.container-security" . | nindent 6 }}
    resources:
      {{- toYaml .values.resources | nindent 6 }}
    {{- .container | nindent 4 }}
    volumeMounts:
      - {name: data, mountPath: /data}
      - {name: configuration, mountPath: /configuration, readOnly: true}
      - {name: tmp, mountPath: /tmp}
volumes:
  {{- include "meshwright.tmp-volume" . | nindent 2 }}
  - name: configuration
    projected:
      sources:
        - configMap:
            name: {{ include "meshwright.fullname" . }}
        - secret:
            name: {{ include "meshwright.fullname" . }}
            items:
              {{- .secretItems | nindent 14 }}
{{- end }}
