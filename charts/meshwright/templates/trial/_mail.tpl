{{- define "meshwright.mail-environment" -}}
SMTP_PORT: 8026
MAIL_PAGE_PORT: 8025
MAIL_FOLDER: /tmp/mail
{{- end }}

{{- define "meshwright.mail-url" -}}
smtp://{{ include "meshwright.fullname" (dict "root" .root "name" "mail") }}:8026
{{- end }}
