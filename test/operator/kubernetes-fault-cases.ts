/** What can go wrong between the operator and the API server: every fault in every phase where it can happen. */
import { plural } from '../../src/api/group.ts';
import type { Fault, ProxiedRequest } from '../env/proxy.ts';
import type { StreamFault } from '../env/stream-faults.ts';

type Matches = (request: ProxiedRequest) => boolean;

const asks = (request: ProxiedRequest, path: RegExp): boolean => path.test(request.path.split('?')[0] ?? '');
const has = ({ path }: ProxiedRequest, parameter: string): boolean =>
  new URL(path, 'http://server').searchParams.has(parameter);
const reads =
  (path: RegExp, ...parameters: string[]): Matches =>
  (request) =>
    request.method === 'GET' && asks(request, path) && parameters.every((each) => has(request, each));
const writes =
  (path: RegExp): Matches =>
  (request) =>
    request.method !== 'GET' && asks(request, path);
const without =
  (matches: Matches, parameter: string): Matches =>
  (request) =>
    matches(request) && !has(request, parameter);

const images = new RegExp(`/${plural}$`);

/** Requests that identify the phase in which a fault is injected. */
export const phases = {
  'a streaming list': reads(images, 'sendInitialEvents'),
  'the first page of a list': without(reads(images, 'limit'), 'continue'),
  'a later page of a list': reads(images, 'continue'),
  'a watch': reads(images, 'watch', 'resourceVersion'),
  'the list of Secrets': reads(/\/secrets$/, 'sendInitialEvents'),
  'reading a Secret': reads(/\/secrets\/[^/]+$/),
  'writing the finalizer': writes(new RegExp(`/${plural}/[^/]+$`)),
  'writing the status': writes(new RegExp(`/${plural}/[^/]+/status$`)),
  'sending an Event': writes(/\/events/),
  'reading the Lease': reads(/\/leases\/[^/]+$/),
  'taking the Lease': (request) => request.method === 'POST' && asks(request, /\/leases$/),
  'renewing the Lease': (request) => request.method === 'PUT' && asks(request, /\/leases\/[^/]+$/),
} satisfies Record<string, Matches>;
export type Phase = keyof typeof phases;

export interface Case {
  phase: Phase;
  name: string;
  fault: Fault;
  /** How often it strikes. */
  times: number;
  /** It is noticed only by a deadline of half a minute or more. */
  slow: boolean;
  /**
   * How the operator reacts: it `goes on`; it `waits` without writing until the fault is over; or it `ends`, because it
   * must not write any more, and is started again.
   */
  outcome: 'goes on' | 'waits' | 'ends';
}

type Named = Omit<Case, 'phase' | 'slow' | 'outcome'> & Partial<Pick<Case, 'slow' | 'outcome'>>;

/** A rejection in the format of the API server. */
export function refusal(code: number, reason: string, more: { retryAfter?: number; causes?: object[] } = {}): Fault {
  const { retryAfter, causes } = more;
  return {
    kind: 'answer',
    status: code,
    headers: { 'content-type': 'application/json', ...(retryAfter ? { 'retry-after': String(retryAfter) } : {}) },
    body: JSON.stringify(statusOf(code, reason, causes)),
  };
}

function statusOf(code: number, reason: string, causes: object[] = []): object {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: 'a fault', details: { causes } };
}

const refused: Named[] = [
  { name: 'the connection is cut', fault: { kind: 'refuse' }, times: 2 },
  { name: '401 once', fault: refusal(401, 'Unauthorized'), times: 1 },
  { name: '401 again and again', fault: refusal(401, 'Unauthorized'), times: 3 },
  { name: '403', fault: refusal(403, 'Forbidden'), times: 2 },
  { name: '429 with Retry-After', fault: refusal(429, 'TooManyRequests', { retryAfter: 1 }), times: 2 },
  { name: '500', fault: refusal(500, 'InternalError'), times: 2 },
  { name: '503 with Retry-After', fault: refusal(503, 'ServiceUnavailable', { retryAfter: 1 }), times: 2 },
  { name: '504', fault: refusal(504, 'Timeout'), times: 1 },
];

const unanswered: Named[] = [
  ...refused,
  { name: 'the response is lost', fault: { kind: 'loseAnswer' }, times: 1 },
  { name: 'the response is cut short', fault: { kind: 'truncate', bytes: 20 }, times: 1 },
  { name: 'no response', fault: { kind: 'hold', released: new Promise(() => {}) }, times: 1, slow: true },
];

const forgotten: Named[] = [
  { name: '410 at once', fault: refusal(410, 'Expired'), times: 1 },
  { name: '400 at once', fault: refusal(400, 'BadRequest'), times: 1 },
];

const error = (code: number, reason: string) => JSON.stringify({ type: 'ERROR', object: statusOf(code, reason) });
const hugeLine = JSON.stringify({ type: 'MODIFIED', object: { padding: 'x'.repeat(17 * 2 ** 20) } });

const inStream = (name: string, lines: number, what: StreamFault, times = 1): Named => ({
  name: `${name} after ${lines} ${lines === 1 ? 'line' : 'lines'}`,
  fault: { kind: 'afterLines', lines, what },
  times,
});

const streamed: Named[] = [
  ...refused,
  ...[0, 1].flatMap((lines) => [
    inStream('a reset', lines, 'cut', 2),
    inStream('its end', lines, 'end', 2),
    inStream('half a line', lines, 'halfLine', 2),
    inStream('410', lines, { insert: error(410, 'Expired') }),
    inStream('500', lines, { insert: error(500, 'InternalError') }),
  ]),
  inStream('429', 0, { insert: error(429, 'TooManyRequests') }),
  inStream('a line that is not JSON', 1, { insert: '<html>' }, 2),
  inStream('a huge line', 1, { insert: hugeLine }, 2),
  { ...inStream('silence', 1, 'silence'), slow: true },
];

const ofFuture = { causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }] };

const always = Number.POSITIVE_INFINITY;
const lasting: Named[] = [
  { name: 'the connection is cut for a long time', fault: { kind: 'refuse' }, times: always },
  { name: '403 for a long time', fault: refusal(403, 'Forbidden'), times: always },
  { name: '500 for a long time', fault: refusal(500, 'InternalError'), times: always },
  { name: 'no response for a long time', fault: { kind: 'hold', released: new Promise(() => {}) }, times: always },
];
const untilOver = lasting.map((each) => ({ ...each, outcome: 'waits' as const }));
const untilTheEnd = lasting.map((each) => ({ ...each, outcome: 'ends' as const }));
const overtaken: Named[] = [
  { name: '409', fault: refusal(409, 'Conflict'), times: 1 },
  { name: '404', fault: refusal(404, 'NotFound'), times: 1 },
];
/** Its calls have short deadlines. */
const ofLease = unanswered.map((each) => ({ ...each, slow: false }));

const byPhase: Record<Phase, Named[]> = {
  'a streaming list': [...streamed, ...forgotten, { name: '422', fault: refusal(422, 'Invalid'), times: 1 }],
  'the first page of a list': unanswered,
  'a later page of a list': [...unanswered, ...forgotten],
  'a watch': [
    ...streamed,
    ...forgotten,
    { name: '504 for a version from the future', fault: refusal(504, 'Timeout', ofFuture), times: 1 },
  ],
  // The same watcher as of images.
  'the list of Secrets': [...refused, ...forgotten],
  'reading a Secret': unanswered,
  'writing the finalizer': unanswered,
  'writing the status': unanswered,
  'sending an Event': unanswered.filter(({ slow }) => !slow),
  'reading the Lease': [...ofLease, ...untilOver],
  'taking the Lease': [...ofLease, ...overtaken, ...untilOver],
  'renewing the Lease': [...ofLease, ...overtaken, ...untilTheEnd],
};

const all: Case[] = (Object.keys(phases) as Phase[]).flatMap((phase) =>
  byPhase[phase].map((each) => ({ phase, slow: false, outcome: 'goes on' as const, ...each })),
);
const isOfLease = ({ phase }: Case) => phase.endsWith('the Lease');

/** Those that an operator without an election can meet, and those that only one with an election does. */
export const cases = all.filter((each) => !isOfLease(each));
export const leaseCases = all.filter(isOfLease);
