{{/* All names have at most 63 characters, even where Kubernetes allows more, because some become labels and host names. */}}

{{- define "glance-image-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "glance-image-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $full | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of a part: (list "metrics" $). A full name that is too long is cut and gets a hash, so that two long releases stay apart. */}}
{{- define "glance-image-operator.partname" -}}
{{- $part := index . 0 -}}
{{- $full := include "glance-image-operator.fullname" (index . 1) -}}
{{- $room := int (sub 62 (len $part)) -}}
{{- if gt (len $full) $room -}}
{{- $full = printf "%s-%s" ($full | trunc (int (sub $room 9)) | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- printf "%s-%s" $full $part -}}
{{- end -}}

{{- define "glance-image-operator.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

{{- define "glance-image-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "glance-image-operator.fullname" .) -}}
{{- end -}}

{{/* Immutable in a Deployment. */}}
{{- define "glance-image-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "glance-image-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: controller
{{- end -}}

{{/* The chart's labels win over other labels, because selectors rely on them: (list $ .Values.podLabels). */}}
{{- define "glance-image-operator.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $chart := printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" -}}
{{- $own := dict "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/part-of" "glance-image-operator" "app.kubernetes.io/managed-by" $root.Release.Service "helm.sh/chart" $chart -}}
{{- merge (include "glance-image-operator.selectorLabels" $root | fromYaml) $own (index . 1) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* The metadata of an object: (list $ (dict "name" … "namespace" … "labels" … "annotations" …)); cluster-scoped objects have no namespace. */}}
{{- define "glance-image-operator.metadata" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
metadata:
  name: {{ $object.name | quote }}
  {{- with $object.namespace }}
  namespace: {{ . | quote }}
  {{- end }}
  labels:
    {{- include "glance-image-operator.labelsWith" (list $root ($object.labels | default dict)) | nindent 4 }}
  {{- with merge (dict) ($object.annotations | default dict) $root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "glance-image-operator.image" -}}
{{- $registry := .Values.global.imageRegistry | default .Values.image.registry -}}
{{- $repository := list $registry .Values.image.repository | compact | join "/" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* A list, or nothing. Charts that share `global` write names or objects. */}}
{{- define "glance-image-operator.imagePullSecrets" -}}
{{- $secrets := list -}}
{{- range concat .Values.imagePullSecrets .Values.global.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}
