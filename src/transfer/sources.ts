/**
 * From the source of a plan to its bytes. Law: the only place that knows which kinds of source there are.
 */

import type { ImageClient } from '../glance/client.ts';
import { parseImageRef } from '../glance/ref.ts';
import type { EgressPolicy } from '../http/egress.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { SessionPool } from '../openstack/pool.ts';
import { type ImageSource, openImageSource } from '../source/glance.ts';
import { readHeaders } from '../source/headers.ts';
import { openHttpSource } from '../source/http.ts';
import type { Source } from '../source/source.ts';
import { createSourceTransport } from '../source/transport.ts';
import type { TransferAccess } from './executor.ts';
import type { TransferPlan } from './plan.ts';
import type { Target } from './target.ts';

export interface OpenSourceOptions {
  /** Governs the body too; the source is closed when it aborts. */
  signal: AbortSignal;
  /** The body broke and goes on. */
  onResume: () => void;
}

/** A source, and the digest that its server has on record for it, if it has one. */
export type TransferSource = Source & Partial<Pick<ImageSource, 'digest'>>;

export type OpenSource = (plan: TransferPlan, options: OpenSourceOptions) => Promise<TransferSource>;

export interface SourceOpener {
  open: OpenSource;
  /** Ends all connections to sources. */
  close(): Promise<void>;
}

/** Sessions with the clouds that images are read from and written to. */
export type CloudSessions = SessionPool<Target & { readonly images: ImageClient }>;

export interface SourceOpenerOptions {
  egress: EgressPolicy;
  sessions: CloudSessions;
  clock: Clock;
  random: Random;
}

/** For one run. */
export function createSourceOpener(access: TransferAccess, options: SourceOpenerOptions): SourceOpener {
  const { egress, sessions, clock, random } = options;
  const transport = createSourceTransport(egress, access.ca === undefined ? {} : { ca: access.ca });
  const used = new DisposableStack();

  return {
    async open(plan, { signal, onResume }) {
      const { source, limits } = plan;
      const common = { clock, random, limits, signal, onResume };
      switch (source.kind) {
        case 'http': {
          const headers = access.headers === undefined ? {} : { headers: readHeaders(access.headers) };
          const urls: [string, ...string[]] = [source.url, ...source.mirrors];
          const hasDigest = plan.digest !== undefined;
          return openHttpSource({ urls, ...headers, hasDigest, transport, ...common });
        }
        case 'glance': {
          if (access.sourceCloud === undefined) throw new TypeError('the access has no cloud of the source image');
          const { id, ...where } = parseImageRef(source.image);
          // An address must be an endpoint of the cloud whose credentials the plan names for it.
          const endpoint = where.kind === 'href' ? { endpoint: where.endpoint } : {};
          const { name, region } = source.cloud;
          const session = used.use(sessions.use(access.sourceCloud, { name, region, ...endpoint }));
          return openImageSource({ images: session.attached.images, id, ...common });
        }
      }
    },
    async close() {
      used.dispose();
      await transport.close();
    },
  };
}
