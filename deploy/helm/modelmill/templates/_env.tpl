{{- define "modelmill.env" -}}
- name: MILL_NATS_URL
  value: {{ .Values.nats.url | default (printf "nats://%s-nats:4222" .Release.Name) | quote }}
- name: MILL_ARTIFACTS_DIR
  value: /var/lib/mill/artifacts
- name: MILL_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
- name: MILL_DRAIN_MS
  value: {{ .Values.drainMs | quote }}
- name: MILL_REPLICA
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- with .Values.otlpEndpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "modelmill.pod" -}}
terminationGracePeriodSeconds: {{ add 10 (div (int .Values.drainMs) 1000) }}
securityContext: { runAsNonRoot: true, runAsUser: 10001, fsGroup: 10001, seccompProfile: { type: RuntimeDefault } }
volumes:
  - name: artifacts
    persistentVolumeClaim: { claimName: {{ .Release.Name }}-artifacts }
  - name: tmp
    emptyDir: {}
{{- end -}}

{{- define "modelmill.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: [ALL] } }
volumeMounts:
  - { name: artifacts, mountPath: /var/lib/mill/artifacts }
  - { name: tmp, mountPath: /tmp }
{{- end -}}
