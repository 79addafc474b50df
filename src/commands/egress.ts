/**
 * The egress settings of the commands, and the two policies that follow from them. The policies themselves name no flag
 * (`http/egress.ts`); the advice in their errors comes from here.
 *
 * Guarantees: the operator connects to the API server for no resource: its addresses and names, as far as the kubeconfig, the
 * environment of the Pod and the server itself name them, are denied.
 */
import { isIP } from 'node:net';
import * as z from 'zod';
import { createEgressPolicy, type EgressPair, type EgressRules, type RefusalCause } from '../http/egress.ts';
import { type ProxyRules, proxyProblem } from '../http/proxy.ts';
import type { ApiTransport } from '../kubernetes/transport.ts';
import { describe } from '../lib/errors.ts';
import { type Settings, setting, UsageError, type ValuesOf } from './config.ts';

/** Checked here, where it is known which flag is wrong. */
const checkedList = (rulesOf: (list: string[]) => EgressRules) =>
  setting.list().superRefine((list, context) => {
    try {
      createEgressPolicy(rulesOf(list));
    } catch (error) {
      context.addIssue({ code: 'custom', message: describe(error) });
    }
  });

const exceptionList = () =>
  checkedList((except) => ({ allow: [], deny: [], proxy: { url: 'http://proxy.invalid', except } }));

const noProxyGrammar =
  '`example.com` and all below it, `.example.com` for those below it only, addresses, CIDRs, any of them with `:port`, or `*`.';

const proxyUrl = () =>
  setting.text().superRefine((text, context) => {
    const problem =
      text === undefined
        ? undefined
        : proxyProblem(text, 'a file, and name it in the flag for the credentials of this proxy');
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  });

const ruleList = () => checkedList((allow) => ({ allow, deny: [] }));

export const egressSettings = {
  sourceAllow: {
    schema: ruleList(),
    value: 'HOST|CIDR,…',
    help: 'Hosts, networks and `<namespace>.svc` that sources may use although they are blocked by default (private networks, the cluster, loopback, link-local, metadata).',
  },
  cloudAllow: {
    schema: ruleList(),
    value: 'HOST|CIDR,…',
    help: 'Hosts, networks and `<namespace>.svc` that clouds may use although they are blocked by default (the cluster, loopback, link-local, metadata). Private networks need no rule.',
  },
  sourceDeny: {
    schema: ruleList(),
    value: 'HOST|CIDR,…',
    help: 'Hosts and networks that are always blocked, for sources and clouds alike. The addresses of a host are blocked too.',
  },
  clusterCIDR: {
    schema: ruleList(),
    value: 'CIDR,…',
    help: 'Networks of the Services, Pods and nodes of this cluster, which neither sources nor clouds may use. Default: none is known.',
  },
  nat64Prefix: {
    schema: checkedList((nat64Prefixes) => ({ allow: [], deny: [], nat64Prefixes })),
    value: 'CIDR,…',
    help: 'Prefixes by which this network reaches IPv4 addresses, in addition to 64:ff9b::/96.',
  },
  sourceProxy: {
    schema: proxyUrl(),
    value: 'URL',
    help: 'Proxy for all sources, as http://host:port or https://host:port. Environment variables such as HTTPS_PROXY have no effect. Default: none.',
  },
  sourceProxyCredentials: {
    schema: setting.text(),
    value: 'FILE',
    help: 'File with one line USER:PASSWORD for the proxy of sources. It is read for each connection.',
  },
  sourceNoProxy: {
    schema: exceptionList(),
    value: 'HOST|CIDR,…',
    help: `Sources that are reached without the proxy: ${noProxyGrammar}`,
  },
  cloudProxy: {
    schema: proxyUrl(),
    value: 'URL',
    help: 'Proxy for all clouds, as http://host:port or https://host:port. The API server is never reached through it. Default: none.',
  },
  cloudProxyCredentials: {
    schema: setting.text(),
    value: 'FILE',
    help: 'File with one line USER:PASSWORD for the proxy of clouds. It is read for each connection.',
  },
  cloudNoProxy: {
    schema: exceptionList(),
    value: 'HOST|CIDR,…',
    help: `Clouds that are reached without the proxy: ${noProxyGrammar}`,
  },
} as const satisfies Settings;

type EgressSettings = ValuesOf<typeof egressSettings>;

/** The advice for a person who runs a command, or, with `inCluster`, for users of the operator. */
function advice(flag: 'source-allow' | 'cloud-allow', inCluster: boolean): Partial<Record<RefusalCause, string>> {
  const value = flag === 'source-allow' ? 'settings.sourceAllow' : 'settings.cloudAllow';
  return inCluster
    ? {
        default: `to allow it, start the operator with --${flag}={host} (chart value ${value})`,
        denied:
          'it is listed in --source-deny (chart value settings.sourceDeny), or it is the API server of this cluster',
      }
    : { default: `to allow it, use --${flag}={host}`, denied: 'it is listed in --source-deny' };
}

type Kind = 'source' | 'cloud';

/** Throws UsageError for credentials or exceptions without a proxy. */
function proxyRules(settings: EgressSettings, kind: Kind, inCluster: boolean): { proxy?: ProxyRules } {
  const [url, credentialsFile, except] =
    kind === 'source'
      ? [settings.sourceProxy, settings.sourceProxyCredentials, settings.sourceNoProxy]
      : [settings.cloudProxy, settings.cloudProxyCredentials, settings.cloudNoProxy];
  const chartValue = (name: string) => (inCluster ? ` (chart value proxy.${kind}s.${name})` : '');
  if (url === undefined) {
    if (credentialsFile === undefined) return {};
    throw new UsageError(`--${kind}-proxy-credentials: there is no proxy to use them for: set --${kind}-proxy`);
  }
  const credentials = `--${kind}-proxy-credentials${chartValue('credentialsSecret')}`;
  const advice = {
    credentials:
      credentialsFile === undefined
        ? `give it a user and password with ${credentials}`
        : `correct the user and password in ${credentials}`,
    server: `have its administrator allow this server, or reach it directly with --${kind}-no-proxy${chartValue('noProxy')}`,
    certificate: `add its certificate authority to --ca-bundle${inCluster ? ' (chart value caBundle)' : ''}`,
  };
  return { proxy: { url, credentialsFile, except, advice } };
}

function egressRules(settings: EgressSettings, apiServers: readonly string[], inCluster: boolean) {
  const common = {
    deny: [...settings.sourceDeny, ...apiServers],
    clusterNetworks: settings.clusterCIDR,
    nat64Prefixes: settings.nat64Prefix,
  };
  return {
    sources: {
      ...common,
      allow: settings.sourceAllow,
      privateNetworks: 'blocked',
      advice: advice('source-allow', inCluster),
      ...proxyRules(settings, 'source', inCluster),
    },
    clouds: {
      ...common,
      allow: settings.cloudAllow,
      privateNetworks: 'open',
      advice: advice('cloud-allow', inCluster),
      ...proxyRules(settings, 'cloud', inCluster),
    },
  } as const satisfies EgressPair<EgressRules>;
}

/** For the operator. `apiServers`: see `apiServerHosts`. */
export function operatorEgress(settings: EgressSettings, apiServers: readonly string[]): EgressPair<EgressRules> {
  return egressRules(settings, apiServers, true);
}

/** For a command that a person runs. */
export function commandEgress(settings: EgressSettings): EgressPair<EgressRules> {
  return egressRules(settings, [], false);
}

const advertisedSchema = z.object({
  serverAddressByClientCIDRs: z.array(z.object({ serverAddress: z.string().max(300) })).max(16),
});

/**
 * Names and addresses of the API server: of the kubeconfig, of the Service `kubernetes`, and the address that the server
 * advertises, which is that of its node. Behind a Service there can be more servers than the one that responds.
 */
export async function apiServerHosts(
  { server, request }: Pick<ApiTransport, 'server' | 'request'>,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<string[]> {
  const service = env['KUBERNETES_SERVICE_HOST'];
  const answer = await request({ method: 'GET', path: '/api' }, signal).catch(() => {
    signal.throwIfAborted();
    return undefined;
  });
  const advertised = advertisedSchema.safeParse(answer).data?.serverAddressByClientCIDRs ?? [];
  const hosts = [
    new URL(server).hostname,
    ...(service === undefined || service === '' ? [] : [service, 'kubernetes.default.svc']),
    ...advertised.flatMap(({ serverAddress }) => URL.parse(`https://${serverAddress}`)?.hostname ?? []),
  ];
  return [...new Set(hosts.map((host) => host.replace(/^\[(.*)\]$/, '$1')))].filter(needsRule);
}

/** An API server on loopback, as in development, needs no rule: the defaults block it. */
function needsRule(host: string): boolean {
  return host !== 'localhost' && !(isIP(host) !== 0 && (host === '::1' || host.startsWith('127.')));
}
