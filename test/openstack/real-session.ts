/** A session as the operator has it, with the real servers, and the tokens that Keystone gave to it. */
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/lib/clock.ts';
import { type CloudFiles, parseCloud } from '../../src/openstack/clouds.ts';
import type { Transport } from '../../src/openstack/exchange.ts';
import { createSession, type Session } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import { patience } from '../env/wait.ts';

export function sessionOf(t: TestContext, files: CloudFiles, region?: string): { session: Session; tokens: string[] } {
  const cloud = parseCloud(files, 'demo', region);
  const real = createTransport({ tls: cloud.tls, userAgent: 'glance-image-operator/test', clock: systemClock });
  const tokens: string[] = [];
  const transport: Transport = {
    ...real,
    async request(request) {
      const response = await real.request(request);
      const token = response.headers['x-subject-token'];
      if (token !== undefined) tokens.push(token);
      return response;
    },
  };
  const session = createSession({ cloud, transport, clock: systemClock, random: Math.random });
  t.after(() => session.close());
  return { session, tokens };
}

export const signal = () => patience();

/** A small call that every user with a project may make. */
export const list = (session: Session, path = '/images?limit=1') =>
  session.call('image', {
    operation: 'list',
    method: 'GET',
    path,
    idempotent: true,
    limit: { bytes: 1024 * 1024, values: 1000 },
    signal: signal(),
  });
