/** Every way to sign in that the real Keystone has, and what the real Glance makes of it. */
import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { z } from 'zod';
import { AuthenticationFailed, HttpFailure } from '../../src/openstack/errors.ts';
import type { Session } from '../../src/openstack/session.ts';
import { adminPassword } from '../env/bootstrap.ts';
import { ask } from '../env/http.ts';
import type { Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { list, sessionOf, signal } from './real-session.ts';

let stack: Stack;
let project: Project;
before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('logins');
});
after(() => stack.stop());

function signIn(t: TestContext, entry: { auth: object; [key: string]: unknown }): Session {
  const auth = { auth_url: stack.openstack.authUrl, ...entry.auth };
  const demo = { region_name: stack.openstack.region, ...entry, auth };
  return sessionOf(t, { cloudsYaml: stringify({ clouds: { demo } }) }).session;
}

/** Calls Keystone as the member of the project. */
const asMember = async (method: string, path: string, body?: unknown) =>
  ask(method, `${stack.openstack.authUrl}${path}`, { headers: { 'x-auth-token': await project.token() }, body });

test('an application credential can be identified by its name and its user', async (t) => {
  const { id, name: username } = project.accounts.member;
  const name = `robot-${project.name}`;
  const made = await asMember('POST', `/users/${id}/application_credentials`, { application_credential: { name } });
  const { secret } = made.as(
    z.object({ application_credential: z.object({ secret: z.string() }) }),
  ).application_credential;
  const session = signIn(t, {
    auth: {
      application_credential_name: name,
      application_credential_secret: secret,
      username,
      user_domain_name: 'Default',
    },
  });
  assert.equal((await session.identity(signal())).project?.id, project.id);
  assert.equal((await list(session)).status, 200);
});

test('a token is exchanged for one of the project with Keystone, and sent unchanged without', async (t) => {
  const token = await project.token();
  const exchanged = signIn(t, { auth: { token, project_id: project.id } });
  assert.equal((await exchanged.identity(signal())).project?.id, project.id);
  assert.equal((await list(exchanged)).status, 200);
  const asItIs = signIn(t, {
    auth_type: 'admin_token',
    auth: { token, project_id: project.id },
    image_endpoint_override: stack.openstack.imageUrl,
  });
  assert.equal((await asItIs.identity(signal())).project?.id, project.id);
  assert.equal((await list(asItIs)).status, 200);
});

test('an unknown token is rejected by Keystone or by Glance', async (t) => {
  const exchanged = signIn(t, { auth: { token: 'gAAAA-nothing', project_id: project.id } });
  await assert.rejects(list(exchanged), AuthenticationFailed);
  const asItIs = signIn(t, {
    auth_type: 'admin_token',
    auth: { token: 'gAAAA-nothing' },
    image_endpoint_override: stack.openstack.imageUrl,
  });
  await assert.rejects(list(asItIs), (error) => {
    assert.ok(error instanceof AuthenticationFailed);
    assert.match(error.message, /the image service rejects the credentials in clouds.yaml: 401/);
    assert.ok(!error.message.includes('gAAAA-nothing'));
    return true;
  });
});

test('a trust grants the trustee the role and the project of the trustor', async (t) => {
  const { member, reader } = project.accounts;
  const made = await asMember('POST', '/OS-TRUST/trusts', {
    trust: {
      trustor_user_id: member.id,
      trustee_user_id: reader.id,
      project_id: project.id,
      impersonation: false,
      roles: [{ name: 'member' }],
    },
  });
  const { trust } = made.as(z.object({ trust: z.object({ id: z.string() }) }));
  const { id: user_id, password } = reader;
  const session = signIn(t, { auth: { user_id, password, trust_id: trust.id } });
  const { user, project: of, roles } = await session.identity(signal());
  assert.deepEqual([user?.id, of?.id, roles.includes('member')], [reader.id, project.id, true]);
  const body = JSON.stringify({ name: 'by-trust', disk_format: 'raw', container_format: 'bare' });
  const headers = { 'content-type': 'application/json' };
  const limits = {
    operation: 'create',
    idempotent: false,
    limit: { bytes: 1024 * 1024, values: 1000 },
    signal: signal(),
  } as const;
  const created = await session.call('image', { method: 'POST', path: '/images', headers, body, ...limits });
  assert.equal(z.object({ owner: z.string() }).parse(JSON.parse(created.text)).owner, project.id);
});

test('an administrator gets tokens for the system and for a domain, and finds Glance with them', async (t) => {
  const admin = { username: 'admin', password: adminPassword, user_domain_name: 'Default' };
  const system = signIn(t, { auth: { ...admin, system_scope: 'all' } });
  const ofSystem = await system.identity(signal());
  assert.deepEqual([ofSystem.scope, ofSystem.project, ofSystem.roles.includes('admin')], ['system', undefined, true]);
  assert.equal(await system.endpoint('image', signal()), `${stack.openstack.imageUrl}/v2`);
  assert.equal((await list(system, '/info/import')).status, 200);

  const roles = await stack.openstack.identity('GET', '/roles?name=reader');
  const [role] = roles.as(z.object({ roles: z.array(z.object({ id: z.string() })) })).roles;
  const { id: user_id, password } = project.accounts.reader;
  (await stack.openstack.identity('PUT', `/domains/default/users/${user_id}/roles/${role?.id}`)).ok();
  const domain = signIn(t, { auth: { user_id, password, domain_id: 'default' } });
  assert.equal((await domain.identity(signal())).scope, 'domain');
  assert.equal((await list(domain, '/info/import')).status, 200);
  // Images belong to projects, so Glance rejects a system token.
  await assert.rejects(list(system), /403: You are not authorized to complete get_images action/);
});

test('Keystone rejects a scope in which the user has no role', async (t) => {
  const { id: user_id, password } = project.accounts.member;
  for (const scope of [{ system_scope: 'all' }, { domain_id: 'default' }, { trust_id: '0'.repeat(32) }]) {
    await assert.rejects(list(signIn(t, { auth: { user_id, password, ...scope } })), AuthenticationFailed);
  }
});

test('a service token is sent with the token of the user, and an invalid service token is rejected', async (t) => {
  const { member, reader } = project.accounts;
  const auth = { user_id: member.id, password: member.password, project_id: project.id };
  const service_auth = { user_id: reader.id, password: reader.password, project_id: project.id };
  assert.equal((await list(signIn(t, { auth, service_auth }))).status, 200);
  const wrong = signIn(t, { auth, service_auth: { ...service_auth, password: 'a-wr0ng-one' } });
  await assert.rejects(list(wrong), /Keystone rejected the service credentials \(service_auth\) of cloud demo: 401/);
});

test('the global request id reaches Glance up to the longest allowed length', async (t) => {
  const { id: user_id, password } = project.accounts.member;
  const session = signIn(t, { auth: { user_id, password, project_id: project.id } });
  const call = {
    operation: 'read',
    method: 'GET',
    path: '/images/none',
    idempotent: true,
    limit: { bytes: 10_000, values: 1000 },
  } as const;
  for (const requestId of ['req-01234567-89ab-cdef-0123-456789abcdef', 'x'.repeat(64)]) {
    await assert.rejects(session.call('image', { ...call, requestId, signal: signal() }), (error) => {
      // Glance returns 500 for an id that is too long.
      assert.ok(error instanceof HttpFailure && error.httpStatus === 404, String(error));
      return true;
    });
  }
});
