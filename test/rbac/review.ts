/** The permissions of a user according to the API server. */
import { z } from 'zod';
import type { Kubernetes } from '../env/kubernetes.ts';
import { eventually } from '../env/wait.ts';

/** As in a SubjectAccessReview. */
export interface Attributes {
  verb: string;
  /** Default: the core group. */
  group?: string;
  resource: string;
  subresource?: string;
  namespace?: string;
  name?: string;
}

const reviewSchema = z.object({ status: z.object({ allowed: z.boolean() }) });

/** Those of the things that `user` may do. */
export async function allowed(
  kubernetes: Kubernetes,
  user: string,
  things: readonly Attributes[],
): Promise<Attributes[]> {
  const reviews = things.map(async (resourceAttributes) => {
    const spec = { user, resourceAttributes };
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
    const answer = await kubernetes.request('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', body);
    return answer.as(reviewSchema).status.allowed ? [resourceAttributes] : [];
  });
  return (await Promise.all(reviews)).flat();
}

/** Resolves when `user` may do them all: the server learns of new roles a moment after they are made. */
export async function untilAllowed(kubernetes: Kubernetes, user: string, things: readonly Attributes[]): Promise<void> {
  await eventually(
    async () => (await allowed(kubernetes, user, things)).length >= things.length,
    () => `${user} is not allowed what its roles allow`,
  );
}
