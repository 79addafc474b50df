/**
 * ServiceAccounts: their annotations, and tokens of them for one audience (TokenRequest).
 *
 * Guarantees: a token is hidden from the moment it is parsed, and never kept; its life is the shortest that the API server grants;
 * without the rights the error names the ServiceAccount and what is missing.
 */
import * as z from 'zod';
import { OperatorError } from '../lib/errors.ts';
import { SecretString, tokenForm } from '../lib/secret.ts';
import type { KubernetesClient } from './client.ts';
import { KubernetesError, malformedResponse } from './errors.ts';
import { type KubernetesObject, parseObject, type ResourceType } from './resource.ts';
import type { ApiTransport } from './transport.ts';

const serviceAccountType: ResourceType<KubernetesObject> = {
  group: '',
  version: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  parse: (object) => ({ metadata: parseObject(object).metadata }),
};

interface Named {
  namespace: string;
  name: string;
}

/** Seconds. The API server grants no shorter life; a sign-in takes a few. */
const tokenLifeSeconds = 600;
const deadlineMs = 10_000;

const tokenSchema = z.object({ status: z.object({ token: z.string().regex(tokenForm) }) });

interface Account extends Named {
  uid: string;
  /** The value of the annotation. */
  keystone: string | undefined;
}

type ReadAccount = (namespace: string, name: string, signal: AbortSignal) => Promise<Account | undefined>;

/** Undefined where there is no such ServiceAccount. */
function createServiceAccountReader(client: Pick<KubernetesClient, 'get'>, annotation: string): ReadAccount {
  return async (namespace, name, signal) => {
    try {
      const found = await client.get(serviceAccountType, { namespace, name }, signal);
      if (found === undefined) return undefined;
      const { uid, annotations } = found.metadata;
      return { namespace, name, uid, keystone: annotations?.[annotation] };
    } catch (error) {
      throw explained(error, { namespace, name }, 'read it');
    }
  };
}

/** What the operator needs of ServiceAccounts. `annotation` lists the Keystones that tokens may go to. */
export function createServiceAccounts(
  transport: Pick<ApiTransport, 'request'>,
  client: Pick<KubernetesClient, 'get'>,
  annotation: string,
) {
  const serviceAccount = createServiceAccountReader(client, annotation);
  return { serviceAccount, serviceAccountTokens: createServiceAccountTokens(transport, serviceAccount) };
}

/** The ServiceAccount is read again right before: its owner may have withdrawn what was read earlier, and another may have its name. */
function createServiceAccountTokens(transport: Pick<ApiTransport, 'request'>, read: ReadAccount) {
  return async (account: Account, audience: string, signal: AbortSignal): Promise<SecretString> => {
    const { namespace, name } = account;
    const now = await read(namespace, name, signal);
    if (now === undefined) throw notFound(account);
    if (now.uid !== account.uid || now.keystone !== account.keystone)
      throw new OperatorError(`${described(account)} was changed; it is read again at the next attempt`, {
        code: 'ServiceAccountRefused',
      });
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(name)}/token`;
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [audience], expirationSeconds: tokenLifeSeconds },
    };
    try {
      // A request stores nothing, so that it can be sent twice.
      const request = { method: 'POST', path, body, deadlineMs, idempotent: true } as const;
      const parsed = tokenSchema.safeParse(await transport.request(request, signal));
      if (!parsed.success) throw malformedResponse(`POST ${path}`, 'it has no token', undefined);
      return new SecretString(parsed.data.status.token);
    } catch (error) {
      throw explained(error, account, 'request its tokens');
    }
  };
}

function described({ namespace, name }: Named): string {
  return `ServiceAccount "${name}" in namespace ${namespace}`;
}

function notFound(account: Named, cause?: unknown): OperatorError {
  return new OperatorError(`there is no ${described(account)}`, { code: 'ServiceAccountNotFound', cause });
}

function explained(error: unknown, account: Named, what: string): unknown {
  if (!(error instanceof KubernetesError)) return error;
  if (error.reason === 'Forbidden')
    return new OperatorError(
      `the operator may not ${what}: ${described(account)}. List it in the value serviceAccountTokens of the chart, or grant the rights by a Role: ${error.message}`,
      { code: 'ServiceAccountForbidden', cause: error },
    );
  return error.reason === 'NotFound' ? notFound(account, error) : error;
}
