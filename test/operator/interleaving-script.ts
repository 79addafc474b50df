/**
 * What happens to one resource in a run of the interleaving campaign: its first declaration, and actions of its user, of other
 * clients of Glance, and of the servers, each with the moment at which it happens.
 *
 * Invariant: the seed alone decides.
 */
import type { Random } from '../../src/lib/clock.ts';
import { randomOf } from './soak.ts';

/** Numbers stand for one of a few bytes, names and so on. */
export interface Declared {
  body: number;
  algorithm: 'sha256' | 'sha512';
  diskFormat: 'raw' | 'ploop';
  url: number;
  name: number;
  tags: number;
  properties: number;
  visibility: 'private' | 'shared' | 'community';
  protected: boolean;
  hidden: boolean;
  suspend: boolean;
}

/** By another client of Glance, on the newest image of the resource. */
export type ForeignEdit = 'name' | 'hidden' | 'property' | 'marks';

export type Action =
  | { kind: 'edit'; change: Partial<Declared> }
  /** Makes another revision. */
  | { kind: 'editContent'; change: Partial<Declared> }
  /** Followed by another resource of this name, unless it is the last action. */
  | { kind: 'delete' }
  | { kind: 'foreignUpload' }
  | { kind: 'foreignEdit'; what: ForeignEdit }
  | { kind: 'foreignDeletion' }
  /** The next ID is given to an image of another client. */
  | { kind: 'squat'; project: 'same' | 'other' }
  /** SIGKILL of the operator, which starts again. */
  | { kind: 'kill' }
  /** The leader stops, and another process leads. */
  | { kind: 'changeLeader' }
  | { kind: 'loseResponse'; server: Server }
  | { kind: 'loseStatus'; what: 'status' | 'operation' };

export type Server = 'glance' | 'kubernetes';

/** Where a moment does not come, the action happens when the operator rests. */
export type Moment =
  | { kind: 'now' }
  | { kind: 'settled' }
  /** `before`: the server has not got the request. `after`: the operator has not got the response. */
  | {
      kind: 'request';
      server: Server;
      what: 'write' | 'create' | 'upload' | 'patch' | 'read';
      nth: number;
      when: When;
    };

export type When = 'before' | 'after';

export interface Step {
  moment: Moment;
  action: Action;
  /** Afterwards the user asks for a comparison, as otherwise it may take one more interval until the operator looks. */
  nudges: boolean;
}

export interface Script {
  seed: number;
  first: Declared;
  steps: readonly Step[];
}

export function scriptOf(seed: number): Script {
  const random = randomOf(seed);
  const pick = pickerOf(random);
  const bool = () => random() < 0.5;
  const number = () => Math.floor(random() * 4);
  const visibility = () => pick(['private', 'shared', 'community'] as const);
  const algorithm = () => pick(['sha256', 'sha512'] as const);
  const diskFormat = () => pick(['raw', 'ploop'] as const);

  const edits: readonly (() => Partial<Declared>)[] = [
    () => ({ url: number() }),
    () => ({ name: number() }),
    () => ({ tags: number() }),
    () => ({ properties: number() }),
    () => ({ visibility: visibility() }),
    () => ({ protected: bool() }),
    () => ({ hidden: bool() }),
    () => ({ name: number(), hidden: bool(), visibility: visibility() }),
    () => ({ suspend: bool() }),
    () => ({ suspend: true }),
  ];
  const contentEdits: readonly (() => Partial<Declared>)[] = [
    () => ({ body: number() }),
    () => ({ body: number(), algorithm: algorithm() }),
    () => ({ body: number(), name: number(), hidden: bool() }),
    () => ({ algorithm: algorithm() }),
    () => ({ diskFormat: diskFormat() }),
  ];
  const actions: readonly (() => Action)[] = [
    () => ({ kind: 'edit', change: pick(edits)() }),
    () => ({ kind: 'edit', change: pick(edits)() }),
    () => ({ kind: 'editContent', change: pick(contentEdits)() }),
    () => ({ kind: 'editContent', change: pick(contentEdits)() }),
    () => ({ kind: 'delete' }),
    () => ({ kind: 'foreignUpload' }),
    () => ({ kind: 'foreignEdit', what: pick(['name', 'hidden', 'property', 'marks'] as const) }),
    () => ({ kind: 'foreignDeletion' }),
    () => ({ kind: 'squat', project: pick(['same', 'other'] as const) }),
    () => ({ kind: 'kill' }),
    () => ({ kind: 'changeLeader' }),
    () => ({ kind: 'loseResponse', server: pick(['glance', 'kubernetes'] as const) }),
    () => ({ kind: 'loseResponse', server: pick(['glance', 'kubernetes'] as const) }),
    () => ({ kind: 'loseStatus', what: pick(['status', 'operation'] as const) }),
    () => ({ kind: 'loseStatus', what: pick(['status', 'operation'] as const) }),
  ];
  const moment = (): Moment => {
    if (random() < 0.1) return { kind: 'now' };
    if (random() < 0.2) return { kind: 'settled' };
    const server = pick(['glance', 'glance', 'kubernetes'] as const);
    const what = server === 'glance' ? pick(['write', 'create', 'upload', 'patch', 'read'] as const) : 'write';
    return {
      kind: 'request',
      server,
      what,
      nth: 1 + Math.floor(random() * 2),
      when: pick(['before', 'after'] as const),
    };
  };

  const first: Declared = {
    body: number(),
    algorithm: algorithm(),
    diskFormat: 'raw',
    url: number(),
    name: 0,
    tags: number(),
    properties: number(),
    visibility: visibility(),
    protected: random() < 0.3,
    hidden: random() < 0.2,
    suspend: false,
  };
  const length = 3 + Math.floor(random() * 6);
  const steps = Array.from({ length }, () => ({ moment: moment(), action: pick(actions)(), nudges: bool() }));
  return { seed, first, steps };
}

function pickerOf(random: Random) {
  return <T>(of: readonly T[]): T => {
    const one = of[Math.floor(random() * of.length)];
    if (one === undefined) throw new Error('nothing to pick from');
    return one;
  };
}
