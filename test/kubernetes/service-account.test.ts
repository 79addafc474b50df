import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubernetesClient } from '../../src/kubernetes/client.ts';
import { errorFromResponse } from '../../src/kubernetes/errors.ts';
import { createServiceAccounts } from '../../src/kubernetes/service-account.ts';
import type { ApiTransport, RequestOptions } from '../../src/kubernetes/transport.ts';

const annotation = 'example.com/keystone';
const path = '/api/v1/namespaces/team-a/serviceaccounts/images/token';
const object = (metadata: object) => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'images', namespace: 'team-a', uid: 'u', resourceVersion: '1', ...metadata },
});
const never = () => new AbortController().signal;
const refusal = (httpStatus: number) => errorFromResponse({ call: 'GET x', httpStatus, body: undefined });

/** `found`: what the API server has, or why it does not say so. */
function accounts(found: object | Error | undefined, answer: unknown = { status: { token: 'a.b.c' } }) {
  const sent: RequestOptions[] = [];
  const transport: Pick<ApiTransport, 'request'> = {
    async request(options) {
      sent.push(options);
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
  const client: Pick<KubernetesClient, 'get'> = {
    async get(type) {
      if (found instanceof Error) throw found;
      return found === undefined ? undefined : type.parse(found);
    },
  };
  return { ...createServiceAccounts(transport, client, annotation), sent };
}

const known = { namespace: 'team-a', name: 'images', uid: 'u', keystone: 'https://k' };
const annotated = object({ annotations: { [annotation]: 'https://k' } });

test('a ServiceAccount is read with its uid and the annotation of its owner', async () => {
  assert.deepEqual(await accounts(annotated).serviceAccount('team-a', 'images', never()), known);
  const bare = await accounts(object({})).serviceAccount('team-a', 'images', never());
  assert.deepEqual(bare, { ...known, keystone: undefined });
  assert.equal(await accounts(undefined).serviceAccount('team-a', 'images', never()), undefined);
});

test('a token is requested for one audience and ten minutes, and hidden', async () => {
  const { serviceAccountTokens, sent } = accounts(annotated);
  const token = await serviceAccountTokens(known, 'https://k', never());
  assert.equal(token.reveal(), 'a.b.c');
  assert.doesNotMatch(`${token}${JSON.stringify(token)}`, /a\.b\.c/);
  assert.deepEqual(
    sent.map(({ method, path: asked, body }) => ({ method, path: asked, body })),
    [
      {
        method: 'POST',
        path,
        body: {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: { audiences: ['https://k'], expirationSeconds: 600 },
        },
      },
    ],
  );
});

for (const [what, found] of [
  ['lost its annotation', object({})],
  ['got another annotation', object({ annotations: { [annotation]: 'https://k,https://evil' } })],
  ['was deleted and made again', object({ uid: 'v', annotations: { [annotation]: 'https://k' } })],
] as const) {
  test(`no token is requested of a ServiceAccount that ${what} since it was read`, async () => {
    const { serviceAccountTokens, sent } = accounts(found);
    await assert.rejects(serviceAccountTokens(known, 'https://k', never()), {
      code: 'ServiceAccountRefused',
      message: /ServiceAccount "images" in namespace team-a was changed/,
    });
    assert.deepEqual(sent, []);
  });
}

test('no token is requested of a ServiceAccount that is gone', async () => {
  const { serviceAccountTokens, sent } = accounts(undefined);
  await assert.rejects(serviceAccountTokens(known, 'https://k', never()), { code: 'ServiceAccountNotFound' });
  assert.deepEqual(sent, []);
});

test('without the right to read a ServiceAccount, or to its tokens, the error names it and the value of the chart', async () => {
  const message = /the operator may not .*: ServiceAccount "images" in namespace team-a. .*serviceAccountTokens/;
  const expected = { code: 'ServiceAccountForbidden', message };
  await assert.rejects(accounts(refusal(403)).serviceAccount('team-a', 'images', never()), expected);
  const { serviceAccountTokens } = accounts(annotated, refusal(403));
  await assert.rejects(serviceAccountTokens(known, 'https://k', never()), expected);
});

test('another failure of the API server stays what it is', async () => {
  await assert.rejects(accounts(refusal(500)).serviceAccount('team-a', 'images', never()), {
    code: 'KubernetesFailed',
  });
});

test('a response without a usable token is an error that does not quote it', async () => {
  for (const answer of [{}, { status: {} }, { status: { token: 'with space' } }, { status: { token: 7 } }]) {
    const { serviceAccountTokens } = accounts(annotated, answer);
    await assert.rejects(serviceAccountTokens(known, 'https://k', never()), (error: Error) => {
      assert.match(error.message, /it has no token/);
      assert.doesNotMatch(error.message, /with space/);
      return true;
    });
  }
});
