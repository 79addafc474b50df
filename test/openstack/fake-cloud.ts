/** A cloud that consists of canned responses, for behaviour that a real cloud does not show on demand. */
import type { TestContext } from 'node:test';
import { stringify } from 'yaml';
import { parseCloud } from '../../src/openstack/clouds.ts';
import type { ServiceAccount } from '../../src/openstack/credentials.ts';
import { ConnectionFailed } from '../../src/openstack/errors.ts';
import type { HttpDownload, HttpRequest, HttpResponse, HttpUpload } from '../../src/openstack/exchange.ts';
import type { RetryPolicy } from '../../src/openstack/retry.ts';
import type { ServiceAccountTokens } from '../../src/openstack/service-account.ts';
import { createSession, type ServiceCall } from '../../src/openstack/session.ts';
import { ManualClock } from './manual-clock.ts';

export type Reply = Partial<HttpResponse> | Error;

interface Answers {
  /** Responses to requests for a token. `token` is a valid one, which is also sent after the last. */
  keystone?: (Reply | 'token')[];
  /** Responses to all other requests. After the last they are 200. */
  image?: Reply[];
  /** The same by address, tried first. */
  at?: (url: string) => Reply | undefined;
  /** Of a token, in milliseconds. */
  life?: number;
  scope?: object;
  endpoints?: string[];
  /** More of the catalog. */
  services?: object[];
  /** More of the entry in clouds.yaml. */
  entry?: object;
  policy?: Partial<RetryPolicy>;
  /** Whose tokens the cloud uses, and who gives them. */
  serviceAccount?: ServiceAccount;
  serviceAccountTokens?: ServiceAccountTokens;
}

export type Sent = HttpRequest | HttpUpload | HttpDownload;

export function cloudOf(t: TestContext, answers: Answers = {}) {
  const clock = new ManualClock();
  const seen: Sent[] = [];
  let tokens = 0;
  const token = (): Reply => ({
    status: 201,
    headers: { 'x-subject-token': `token-${++tokens}` },
    text: JSON.stringify({
      token: {
        // Hours away from our clock: only the difference counts.
        issued_at: '2030-01-01T00:00:00.000000Z',
        expires_at: new Date(Date.parse('2030-01-01T00:00:00Z') + (answers.life ?? 3_600_000)).toISOString(),
        user: { id: 'u', name: 'alice' },
        ...(answers.scope ?? { project: { id: 'p', name: 'web' } }),
        roles: [{ name: 'member' }],
        catalog: [
          {
            type: 'image',
            name: 'glance',
            endpoints: (answers.endpoints ?? ['http://glance/']).map((url) => ({
              interface: 'public',
              url,
              region_id: 'R',
            })),
          },
          ...(answers.services ?? []),
        ],
      },
    }),
  });
  const answer = (reply: Reply | undefined): HttpResponse => {
    if (reply instanceof Error) throw reply;
    return { status: 200, headers: {}, text: '{}', requestId: undefined, ...reply };
  };
  const versions: Reply = { status: 300, text: '{"versions": {"values": [{"id": "v3.14", "status": "stable"}]}}' };
  const to = ({ url, method = 'GET' }: { url: string; method?: string }) => {
    const special = answers.at?.(url);
    if (special !== undefined) return answer(special);
    if (!url.startsWith('http://keystone')) return answer(answers.image?.shift());
    if (method === 'GET') return answer(versions);
    const reply = answers.keystone?.shift() ?? 'token';
    return answer(reply === 'token' ? token() : reply);
  };
  const transport = {
    async request(request: HttpRequest) {
      seen.push(request);
      await Promise.resolve();
      request.signal.throwIfAborted();
      return to(request);
    },
    async upload(upload: HttpUpload, begun: () => void) {
      seen.push(upload);
      const response = to(upload);
      begun();
      return response;
    },
    async download(download: HttpDownload) {
      seen.push(download);
      const { text, ...head } = to(download);
      return head.status < 300 ? { accepted: { ...head, body: pieces(text) } } : { rejected: { text, ...head } };
    },
    close: async () => {},
  };
  const auth = { auth_url: 'http://keystone', user_id: 'u', password: 'wr0ng', project_id: 'p' };
  const cloudsYaml = stringify({ clouds: { demo: { auth, ...answers.entry } } });
  const policy = { retries: 3, firstDelayMs: 500, longestDelayMs: 10_000, deadlineMs: 150_000, ...answers.policy };
  const { serviceAccount, serviceAccountTokens } = answers;
  const cloud = parseCloud({ cloudsYaml, serviceAccount }, 'demo');
  const session = createSession({ cloud, transport, serviceAccountTokens, clock, random: () => 0.5, policy });
  t.after(() => session.close());
  const asked = (start: string) => seen.filter(({ url }) => url.startsWith(start));
  return { session, clock, seen, asked, tokensGiven: () => tokens };
}

async function* pieces(text: string) {
  yield Buffer.from(text);
}

export const signal = () => new AbortController().signal;

export const look = (some: Partial<ServiceCall> = {}): ServiceCall => ({
  operation: 'read',
  method: 'GET',
  path: '/images/1',
  idempotent: true,
  limit: { bytes: 1000, values: 1000 },
  signal: signal(),
  ...some,
});

export const reset = (host = 'glance') => new ConnectionFailed(`http://${host}`, new Error('read ECONNRESET'));
