import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AuthenticationFailed, EndpointNotFound, KeystoneUnavailable } from '../../src/openstack/errors.ts';
import type { Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { list, sessionOf, signal } from './real-session.ts';

let stack: Stack;
let project: Project;

before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('session');
});
after(() => stack.stop());

for (const auth of ['password', 'applicationCredential'] as const) {
  test(`${auth} signs in, finds Glance in the catalog and is accepted by it`, async (t) => {
    const { session, tokens } = sessionOf(t, { cloudsYaml: await project.cloudsYaml({ auth }) });
    const identity = await session.identity(signal());
    assert.equal(identity.project?.id, project.id);
    assert.equal(identity.user?.id, project.accounts.member.id);
    assert.ok(identity.roles.includes('member'));
    assert.equal(await session.endpoint('image', signal()), `${stack.openstack.imageUrl}/v2`);
    const response = await list(session);
    assert.equal(response.status, 200);
    assert.match(response.requestId ?? '', /^req-/);
    assert.equal(tokens.length, 1);
  });
}

test('a user can also sign in with the ids of user and project', async (t) => {
  const { id, password } = project.accounts.member;
  const auth = { auth_url: stack.openstack.authUrl, user_id: id, password, project_id: project.id };
  const { session } = sessionOf(t, { cloudsYaml: JSON.stringify({ clouds: { demo: { auth } } }) });
  assert.equal((await list(session)).status, 200);
});

test("a wrong password is an AuthenticationFailed with Keystone's message and request id", async (t) => {
  const wrong = 'a-wr0ng-one';
  const cloudsYaml = (await project.cloudsYaml()).replace(project.accounts.member.password, wrong);
  const { session } = sessionOf(t, { cloudsYaml });
  await assert.rejects(list(session), (error) => {
    assert.ok(error instanceof AuthenticationFailed);
    assert.equal(error.httpStatus, 401);
    assert.match(error.message, /^Keystone rejected the credentials of cloud demo: 401: .* \(req-[0-9a-f-]+\)$/);
    assert.ok(!error.message.includes(wrong));
    return true;
  });
});

test('credentials with an unknown domain or project are rejected', async (t) => {
  for (const extra of [{ user_domain_name: 'Nowhere' }, { project_name: 'nowhere' }]) {
    await assert.rejects(
      list(sessionOf(t, { cloudsYaml: await project.cloudsYaml({ extra }) }).session),
      AuthenticationFailed,
    );
  }
});

test('an unscoped token is reported with the setting that is missing', async (t) => {
  const { id, password } = project.accounts.member;
  const auth = { auth_url: stack.openstack.authUrl, user_id: id, password };
  const { session } = sessionOf(t, { cloudsYaml: JSON.stringify({ clouds: { demo: { auth } } }) });
  await assert.rejects(list(session), /not scoped to a project: set project_name/);
});

test('an unknown region or interface is reported with those in the catalog', async (t) => {
  const { session } = sessionOf(t, { cloudsYaml: await project.cloudsYaml() }, 'Nowhere');
  await assert.rejects(list(session), (error) => {
    assert.ok(error instanceof EndpointNotFound);
    assert.match(error.message, /no public endpoint of type image in region Nowhere; it has .*public in RegionOne/);
    return true;
  });
});

test('an auth_url that is not a Keystone is reported', async (t) => {
  const { session } = sessionOf(t, { cloudsYaml: await project.cloudsYaml({ authUrl: stack.openstack.imageUrl }) });
  await assert.rejects(list(session), (error) => {
    assert.ok(error instanceof KeystoneUnavailable);
    assert.match(error.message, /is auth_url the address of a Keystone with the v3 API\?$/);
    return true;
  });
});

test('Glance lists the versions of its API', async (t) => {
  const { session } = sessionOf(t, { cloudsYaml: await project.cloudsYaml() });
  const versions = await session.versions('image', signal());
  assert.ok(versions.includes('v2.17') && versions.includes('v2.0'), versions.join(' '));
});

test('an endpoint override replaces the catalog in every spelling', async (t) => {
  const imageUrl = `${stack.openstack.imageUrl}/v2/`;
  const { session } = sessionOf(t, { cloudsYaml: await project.cloudsYaml({ imageUrl }) });
  assert.equal((await list(session)).status, 200);
});

test('a token that was revoked is replaced within the call', async (t) => {
  const { session, tokens } = sessionOf(t, { cloudsYaml: await project.cloudsYaml() });
  await session.identity(signal());
  const [revoked = ''] = tokens;
  // Before Glance has seen it: it would believe its own memory of the token for a while.
  const answer = await fetch(`${stack.openstack.authUrl}/auth/tokens`, {
    method: 'DELETE',
    headers: { 'x-auth-token': await stack.openstack.admin.token(), 'x-subject-token': revoked },
  });
  assert.equal(answer.status, 204);
  assert.equal((await list(session)).status, 200);
  assert.equal(tokens.length, 2);
});
