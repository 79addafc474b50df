/**
 * The server for metrics with TLS and a login, as configured by the settings: its certificate, and what a rejected client gets.
 *
 * Guarantees: it serves from the start, with a certificate of its own until the configured one can be used; a certificate that
 * is replaced counts without a restart; a pair whose key does not fit changes nothing.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createMetricsServer, type Render, type Replaceable, type ScrapeRejection } from '../controller/health.ts';
import type { Component } from '../controller/supervisor.ts';
import { type CertificatePair, selfSigned } from '../http/self-signed.ts';
import { createLogin, type Login } from '../kubernetes/login.ts';
import { createTokenReview } from '../kubernetes/reviews.ts';
import { type ApiTransportOptions, createApiTransport } from '../kubernetes/transport.ts';
import type { Clock } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { followFile } from './followed-file.ts';
import { listenAddress } from './probes.ts';
import type { RunSettings } from './settings.ts';

const path = '/metrics';

export interface MetricsAccessOptions {
  settings: Pick<RunSettings, 'metricsAddress' | 'metricsCertificate'>;
  metrics: Render;
  connection: Omit<ApiTransportOptions, 'mayWrite'>;
  clock: Clock;
  log: Logger;
}

export interface MetricsAccess {
  components: Component[];
  close(): Promise<void>;
}

/** Undefined without an address. Reviews have connections of their own: they are no writes of the leader, and standbys serve metrics too. */
export function createMetricsAccess(options: MetricsAccessOptions): MetricsAccess | undefined {
  const { metrics, connection, clock, log } = options;
  const { metricsAddress: address, metricsCertificate: certificates } = options.settings;
  if (address === undefined) return undefined;
  const transport = createApiTransport(connection);
  const logIn = createLogin({ review: createTokenReview(transport), path, clock });
  const certificate = createCertificate(selfSigned('glance-image-operator', clock.now()));
  let problem: string | undefined;

  /** Logs each cause once, until a token can be checked again. */
  function report(login: Login): void {
    if (login.kind === 'allowed' || login.kind === 'forbidden') problem = undefined;
    if (login.kind !== 'unavailable' || problem === describe(login.error)) return;
    problem = describe(login.error);
    log.warn({ problem }, 'A token of a client that asks for metrics cannot be checked');
  }

  const server = createMetricsServer({
    ...listenAddress(address),
    metrics,
    certificate,
    async admit(authorization, signal) {
      const login = await logIn(authorization, signal);
      report(login);
      return rejectionOf(login);
    },
  });
  server.address.then(
    (actual) => log.info(actual, 'Serving metrics over TLS'),
    () => {},
  );
  const follower =
    certificates === undefined
      ? undefined
      : followFile({
          path: join(certificates, 'tls.crt'),
          what: 'certificate and key of the metrics',
          read: (cert) => readPair(cert, readFileSync(join(certificates, 'tls.key'), 'utf8')),
          initial: certificate.current(),
          apply: certificate.set,
          shown: ({ cert }) => ({ notAfter: new X509Certificate(cert).validTo }),
          clock,
          log,
        });
  return {
    components: [
      ...(follower === undefined ? [] : [{ name: 'metrics-certificate', run: follower.run }]),
      {
        name: 'metrics',
        async run(stop) {
          await follower?.look();
          await server.run(stop);
        },
      },
    ],
    close: transport.close,
  };
}

/** Throws if the key does not belong to the certificate, which is so for a moment while both files are replaced. */
function readPair(cert: string, key: string): CertificatePair {
  let privateKey: ReturnType<typeof createPrivateKey>;
  try {
    privateKey = createPrivateKey(key);
  } catch {
    throw new Error('tls.key is not a private key in PEM without a passphrase');
  }
  if (!new X509Certificate(cert).checkPrivateKey(privateKey))
    throw new Error('tls.key does not belong to the certificate in tls.crt');
  return { cert, key };
}

function createCertificate(
  initial: CertificatePair,
): Replaceable<CertificatePair> & { set(pair: CertificatePair): void } {
  let pair = initial;
  const listeners: ((pair: CertificatePair) => void)[] = [];
  return {
    current: () => pair,
    onChange: (listener) => listeners.push(listener),
    set(next) {
      pair = next;
      for (const listener of listeners) listener(next);
    },
  };
}

function rejectionOf(login: Login): ScrapeRejection | undefined {
  switch (login.kind) {
    case 'allowed':
      return undefined;
    case 'unauthenticated':
      return { status: 401, message: 'Send a token of this cluster: Authorization: Bearer TOKEN.' };
    case 'forbidden':
      return {
        status: 403,
        message: `User ${login.user} may not get the path ${path}: bind a ClusterRole that allows it.`,
      };
    case 'busy':
      return { status: 429, message: 'Too many tokens were sent. Try again in a second.' };
    case 'unavailable':
      return {
        status: 503,
        message: 'The API server cannot check the token now. The log of the operator has the cause.',
      };
  }
}
