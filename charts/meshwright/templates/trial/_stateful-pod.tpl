{{/* Mounts the data at /data, and the files and the Secret at /configuration. */}}
{{- define "meshwright.stateful-pod" -}}
serviceAccountName: {{ include "meshwright.fullname" . }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- include "meshwright.pull-secrets" .root }}
terminationGracePeriodSeconds: {{ include "meshwright.termination-grace-s" . }}
securityContext:
  {{- include "meshwright.pod-security" (dict "user" .values.user) | nindent 2 }}
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
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
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
