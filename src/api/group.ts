/** The names under which the Kubernetes API knows us. Each is written once, here. */
export const group = 'glance-image-operator.dev';
export const version = 'v1alpha1';
export const apiVersion = `${group}/${version}`;
export const kind = 'GlanceImage';
export const plural = 'glanceimages';

/** Keeps the resource until its image is dealt with. */
export const finalizer = `${group}/image`;
export const reconcileAtAnnotation = `${group}/reconcile-at`;
export const abandonAnnotation = `${group}/abandon`;

/** For the pages. */
export const annotationMeanings: Readonly<Record<string, string>> = {
  [reconcileAtAnnotation]:
    'Any new value means: compare the image now, and try again now what has failed. `status.lastHandledReconcileAt` holds the value that was handled last.',
  [abandonAnnotation]:
    '`"true"` lets a deleted resource go without its image, which is left in Glance: for when the cloud is gone or its Secret is lost.',
};
