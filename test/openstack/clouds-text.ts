/** clouds.yaml as tests write it: one cloud, of which each test says what matters to it. */
import assert from 'node:assert/strict';
import { stringify } from 'yaml';
import { type CloudFiles, parseCloud } from '../../src/openstack/clouds.ts';
import type { KeystoneLogin } from '../../src/openstack/clouds-auth.ts';
import { authenticationRequest } from '../../src/openstack/credentials.ts';

export const auth = {
  auth_url: 'https://keystone.example.com/identity/',
  username: 'alice',
  password: 's3cret-value',
  user_domain_name: 'Default',
  project_name: 'web',
  project_domain_name: 'Default',
};

export const yaml = (cloud: unknown) => stringify({ clouds: { demo: cloud } });

export function parse(cloud: unknown, region?: string, files: Omit<CloudFiles, 'cloudsYaml'> = {}) {
  return parseCloud({ cloudsYaml: yaml(cloud), ...files }, 'demo', region);
}

export function loginOf(cloud: unknown, whose: 'user' | 'service' = 'user', region?: string): KeystoneLogin {
  const { access } = parse(cloud, region);
  assert.ok(access.kind === 'keystone');
  return access[whose] ?? assert.fail(`there is no ${whose}`);
}

/** What Keystone gets to see of it. */
export function requestOf(cloud: unknown, whose: 'user' | 'service' = 'user') {
  const { method, scope: wanted } = loginOf(cloud, whose).credentials;
  assert.ok(method.kind !== 'federated');
  const { identity, scope } = { scope: undefined, ...authenticationRequest(method, wanted).auth };
  return { identity, scope };
}

export function without(...keys: (keyof typeof auth)[]) {
  const names: readonly string[] = keys;
  return Object.fromEntries(Object.entries(auth).filter(([name]) => !names.includes(name)));
}
