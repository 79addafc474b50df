/**
 * The egress settings of the commands, and the policy that follows from them. The policy itself names no flag
 * (`http/egress.ts`); the advice in its errors comes from here.
 */
import { createEgressPolicy, type EgressRules } from '../http/egress.ts';
import { describe } from '../lib/errors.ts';
import { type Settings, setting, type ValuesOf } from './config.ts';

/** Checked here, where it is known which flag is wrong. */
const ruleList = () =>
  setting.list().superRefine((allow, context) => {
    try {
      createEgressPolicy({ allow, deny: [] });
    } catch (error) {
      context.addIssue({ code: 'custom', message: describe(error) });
    }
  });

export const egressSettings = {
  sourceAllow: {
    schema: ruleList(),
    value: 'HOST|CIDR,…',
    help: 'Hosts and networks that sources may use although they are blocked by default (loopback, link-local, metadata).',
  },
  sourceDeny: {
    schema: ruleList(),
    value: 'HOST|CIDR,…',
    help: 'Hosts and networks that are always blocked, for sources and clouds alike.',
  },
} as const satisfies Settings;

type EgressSettings = ValuesOf<typeof egressSettings>;

/** For the operator, which also never connects to the API server on behalf of a resource. */
export function operatorEgress({ sourceAllow, sourceDeny }: EgressSettings, apiServer: string): EgressRules {
  return {
    allow: sourceAllow,
    deny: [...sourceDeny, ...apiServerHost(apiServer)],
    advice: {
      default: 'to allow it, start the operator with --source-allow={host} (chart value settings.sourceAllow)',
      denied:
        'it is listed in --source-deny (chart value settings.sourceDeny), or it is the API server of this cluster',
    },
  };
}

/** For a command that a person runs. */
export function commandEgress({ sourceAllow, sourceDeny }: EgressSettings): EgressRules {
  return {
    allow: sourceAllow,
    deny: sourceDeny,
    advice: { default: 'to allow it, use --source-allow={host}', denied: 'it is listed in --source-deny' },
  };
}

/** An API server on loopback, as in development, needs no rule: the defaults block it. */
function apiServerHost(server: string): string[] {
  const host = new URL(server).hostname;
  return host === 'localhost' || host === '[::1]' || host.startsWith('127.') ? [] : [host];
}
