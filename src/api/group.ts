/** The names under which the Kubernetes API knows us. Each is written once, here. */
export const group = 'glance-operator.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;
export const kind = 'GlanceImage';
export const plural = 'glanceimages';

/** Keeps the resource until its image is dealt with. */
export const finalizer = `${group}/image`;
/** Any new value of this annotation means: reconcile now. */
export const reconcileAtAnnotation = `${group}/reconcile-at`;
/** `"true"` lets a deleted resource go although its image cannot be reached any more. */
export const abandonAnnotation = `${group}/abandon`;
