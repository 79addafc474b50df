/**
 * Logins by tokens of this cluster: who a token is of (TokenReview), and whether that user may GET a path (SubjectAccessReview).
 * Invariant: the API server decides both, and a response that cannot be read admits no client.
 */
import * as z from 'zod';
import { malformedResponse } from './errors.ts';
import type { ApiTransport } from './transport.ts';

export type Review =
  | { kind: 'allowed' }
  /** The token is of this user, who lacks the permission. */
  | { kind: 'forbidden'; user: string }
  | { kind: 'unauthenticated' };

/** Throws if the API server is out of reach. */
export type ReviewToken = (token: string, path: string, signal: AbortSignal) => Promise<Review>;

const userSchema = z.object({
  username: z.string().min(1),
  uid: z.string().optional(),
  groups: z.array(z.string()).optional(),
  extra: z.record(z.string(), z.array(z.string())).optional(),
});
const tokenReviewSchema = z.object({
  status: z.object({ authenticated: z.boolean().optional(), user: z.unknown().optional() }),
});
const accessReviewSchema = z.object({
  status: z.object({ allowed: z.boolean(), denied: z.boolean().optional() }),
});

const deadlineMs = 5_000;

export function createTokenReview(transport: ApiTransport): ReviewToken {
  /** A review stores nothing, so that it can be sent twice. */
  async function review<T>(kind: string, spec: object, schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const [group, plural] = kind === 'TokenReview' ? [authentication, 'tokenreviews'] : [authorization, accessReviews];
    const path = `/apis/${group}/v1/${plural}`;
    const body = { apiVersion: `${group}/v1`, kind, metadata: {}, spec };
    const answer = await transport.request({ method: 'POST', path, body, deadlineMs, idempotent: true }, signal);
    const parsed = schema.safeParse(answer);
    if (!parsed.success) throw malformedResponse(`POST ${path}`, `it is not a ${kind}`, parsed.error);
    return parsed.data;
  }

  return async (token, path, signal) => {
    const { status } = await review('TokenReview', { token }, tokenReviewSchema, signal);
    const user = userSchema.safeParse(status.user);
    if (status.authenticated !== true || !user.success) return { kind: 'unauthenticated' };
    const { username, ...rest } = user.data;
    const spec = { user: username, ...rest, nonResourceAttributes: { path, verb: 'get' } };
    const access = await review('SubjectAccessReview', spec, accessReviewSchema, signal);
    const { allowed, denied = false } = access.status;
    return allowed && !denied ? { kind: 'allowed' } : { kind: 'forbidden', user: username };
  };
}

const authentication = 'authentication.k8s.io';
const authorization = 'authorization.k8s.io';
const accessReviews = 'subjectaccessreviews';
