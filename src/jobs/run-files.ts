/**
 * The files of one run: what its pod reads from its Secret.
 *
 * Invariant: they hold the secrets that this run needs and no other, and are in no argument and no environment variable.
 */
import * as z from 'zod';
import type { EgressPair, EgressRules } from '../http/egress.ts';
import type { ApiServer } from '../kubernetes/kubeconfig.ts';
import { OperatorError } from '../lib/errors.ts';
import { parseBounded } from '../lib/json.ts';
import { leastAccess } from '../transfer/access.ts';
import type { TransferAccess } from '../transfer/executor.ts';
import { TransferPlan } from '../transfer/plan.ts';

/** By name. */
export type RunFiles = Readonly<Record<(typeof names)[number], string>>;

const names = ['plan.json', 'access.json', 'settings.json', 'ca-bundle.crt', 'source-proxy', 'cloud-proxy'] as const;

export interface PodSettings {
  egress: EgressPair<EgressRules>;
  /** Where the pod writes its progress. */
  progress: { namespace: string; configMap: string; key: string };
  /** The API server, which gets nothing but the progress. */
  api: ApiServer;
}

export interface RunInput extends PodSettings {
  plan: TransferPlan;
  access: TransferAccess;
  /** PEM. */
  certificates: readonly string[];
  /** Contents of the files with credentials for the proxies; empty without any. */
  proxies: EgressPair<string>;
}

/** Throws ConfigurationError if the clouds.yaml has no such cloud. */
export function runFilesOf({ plan, access, egress, progress, certificates, proxies, api }: RunInput): RunFiles {
  const settings: PodSettings = { egress, progress, api };
  return {
    'plan.json': JSON.stringify(plan),
    'access.json': JSON.stringify(leastAccess(access, plan)),
    'settings.json': JSON.stringify(settings),
    'ca-bundle.crt': certificates.join('\n'),
    'source-proxy': proxies.sources,
    'cloud-proxy': proxies.clouds,
  };
}

const text = z.string();
const cloudSchema = z.strictObject({
  cloudsYaml: text,
  secureYaml: text.optional(),
  cacert: text.optional(),
  cert: text.optional(),
  key: text.optional(),
});
const accessSchema = z.strictObject({
  cloud: cloudSchema,
  source: z.strictObject({
    headers: z.record(text, text).exactOptional(),
    ca: text.exactOptional(),
    cloud: cloudSchema.exactOptional(),
  }),
});
/** They come from an operator of the same version. */
const rulesSchema = z.custom<EgressRules>((value) => typeof value === 'object' && value !== null);
const settingsSchema = z.strictObject({
  egress: z.strictObject({ sources: rulesSchema, clouds: rulesSchema }),
  progress: z.strictObject({ namespace: text, configMap: text, key: text }),
  api: z.strictObject({ server: text, ca: text.exactOptional() }),
});

export interface PodInput extends PodSettings {
  plan: TransferPlan;
  access: TransferAccess;
  /** PEM text of the installation; empty without any. */
  bundle: string;
}

const maxFileLength = 2 ** 20;

/** The credentials of its proxy are in a file of the run. */
function withProxyFile(rules: EgressRules, credentialsFile: string): EgressRules {
  const { proxy } = rules;
  return proxy?.credentialsFile === undefined ? rules : { ...rules, proxy: { ...proxy, credentialsFile } };
}

/** `pathOf`: of a file by its name. Throws an OperatorError that quotes no content. */
export async function readRunFiles(
  read: (name: string) => Promise<string>,
  pathOf: (name: string) => string,
): Promise<PodInput> {
  const parsed = async <T>(name: (typeof names)[number], schema: z.ZodType<T>): Promise<T> => {
    const value = parseBounded(schema, await read(name), maxFileLength);
    if (value !== undefined) return value;
    throw new OperatorError(`${name} of the run is not what this version of the operator writes`, {
      code: 'InternalError',
    });
  };
  const { egress, progress, api } = await parsed('settings.json', settingsSchema);
  return {
    plan: await parsed('plan.json', TransferPlan),
    access: await parsed('access.json', accessSchema),
    bundle: await read('ca-bundle.crt'),
    egress: {
      sources: withProxyFile(egress.sources, pathOf('source-proxy')),
      clouds: withProxyFile(egress.clouds, pathOf('cloud-proxy')),
    },
    progress,
    api,
  };
}
