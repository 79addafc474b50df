/** Signed images of a real Glance, with certificates from a key manager that castellan and we are shown alike. */
import assert from 'node:assert/strict';
import { constants, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto';
import { after, before, describe, type TestContext, test } from 'node:test';
import { createImageClient, type ImageClient } from '../../src/glance/client/index.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { barbicanCertificates, type CertificateStore } from '../../src/library/certificates.ts';
import { signatureCheck } from '../../src/library/signature-check.ts';
import {
  CertificateUnavailable,
  ImageSignatureVerificationFailed,
  InvalidImageSignature,
} from '../../src/library/signature-errors.ts';
import { parseCloud } from '../../src/openstack/clouds.ts';
import { EndpointNotFound } from '../../src/openstack/errors.ts';
import { createSession, type Session } from '../../src/openstack/session.ts';
import { createTransport } from '../../src/openstack/transport.ts';
import type { Project } from '../env/project.ts';
import { connectStack, type Stack } from '../env/stack.ts';
import { patience } from '../env/wait.ts';
import { type Barbican, startBarbican } from './barbican.ts';
import { askCursive } from './cursive.ts';

let stack: Stack;
let project: Project;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ecc = generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).privateKey;
/** PEM of the certificates. */
let certificates: { rsa: string; ecc: string };

before(async () => {
  stack = await connectStack();
  project = await stack.openstack.createProject('signatures');
  const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();
  const made = (await askCursive({ keys: { rsa: pem(rsa), ecc: pem(ecc) } })).certificates;
  certificates = { rsa: made['rsa'] ?? '', ecc: made['ecc'] ?? '' };
});
after(() => stack.stop());

const signal = () => patience();
/** Several of the pieces in which a download arrives. */
const content = Buffer.alloc(300_000, 'the bytes of an image, ');
const otherContent = Buffer.concat([content.subarray(1), Buffer.from('.')]);

interface Cloud {
  barbican: Barbican;
  session: Session;
  client: ImageClient;
  store: CertificateStore;
}

async function cloudOf(t: TestContext): Promise<Cloud> {
  const barbican = await startBarbican(t);
  const extra = { key_manager_endpoint_override: barbican.url };
  const cloud = parseCloud({ cloudsYaml: await project.cloudsYaml({ extra }) }, 'demo');
  const transport = createTransport({ tls: cloud.tls, userAgent: 'glance-image-operator/test', clock: systemClock });
  const policy = { retries: 1, firstDelayMs: 1, longestDelayMs: 1, deadlineMs: 60_000 };
  const session = createSession({ cloud, transport, clock: systemClock, random: Math.random, policy });
  t.after(() => session.close());
  return { barbican, session, client: createImageClient(session), store: barbicanCertificates(session) };
}

/** The id of an active image with these bytes that is declared as signed. Glance would look for a key manager of its own on upload. */
async function signedImage(bytes: Buffer, properties: Record<string, string>): Promise<string> {
  const { id } = await project.createImage({}, bytes);
  const patch = Object.entries(properties).map(([key, value]) => ({ op: 'add', path: `/${key}`, value }));
  (await project.image('PATCH', `/v2/images/${id}`, patch)).ok();
  return id;
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_MAX_SIGN };
const rsaProperties = (certificate: string) => ({
  img_signature: sign('sha256', content, { key: rsa, ...pss }).toString('base64'),
  img_signature_hash_method: 'SHA-256',
  img_signature_key_type: 'RSA-PSS',
  img_signature_certificate_uuid: certificate,
});
const eccProperties = (certificate: string) => ({
  img_signature: sign('sha512', content, ecc).toString('base64'),
  img_signature_hash_method: 'SHA-512',
  img_signature_key_type: 'ECC_SECP521R1',
  img_signature_certificate_uuid: certificate,
});

/** Downloads and verifies. */
async function download({ session, client, store }: Cloud, id: string): Promise<{ verified: boolean; bytes: Buffer }> {
  const image = await client.get(id, signal());
  const check = await signatureCheck(image, { mode: 'enabled', certificates: store, signal: signal() });
  const { body } = await session.download('image', {
    operation: 'download',
    path: `/images/${id}/file`,
    signal: signal(),
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of check.through(body)) chunks.push(chunk);
  return { verified: check.verifies, bytes: Buffer.concat(chunks) };
}

describe('a signed image is downloaded', () => {
  for (const [name, properties, pem] of [
    ['RSA-PSS', rsaProperties, () => certificates.rsa],
    ['ECC', eccProperties, () => certificates.ecc],
  ] as const) {
    test(`signed data is verified, and other bytes are rejected (${name})`, async (t) => {
      const cloud = await cloudOf(t);
      const declared = properties(cloud.barbican.store(pem()));
      const right = await signedImage(content, declared);
      const { verified, bytes } = await download(cloud, right);
      assert.ok(verified);
      assert.ok(bytes.equals(content));
      const wrong = await signedImage(otherContent, declared);
      await assert.rejects(download(cloud, wrong), (error) => {
        assert.ok(error instanceof ImageSignatureVerificationFailed);
        assert.match(
          error.message,
          new RegExp(`^image ${wrong} failed signature verification: .* upload the image that was`),
        );
        return true;
      });
    });
  }

  test('an image with some of the signature properties is not downloaded', async (t) => {
    const cloud = await cloudOf(t);
    const { img_signature, img_signature_key_type } = rsaProperties('unused');
    const id = await signedImage(content, { img_signature, img_signature_key_type });
    await assert.rejects(download(cloud, id), InvalidImageSignature);
    assert.deepEqual(cloud.barbican.requests, []);
  });

  test('an image without the signature properties is downloaded and reported as unverified', async (t) => {
    const { id } = await project.createImage({}, content);
    const { verified, bytes } = await download(await cloudOf(t), id);
    assert.equal(verified, false);
    assert.ok(bytes.equals(content));
  });

  test('cursive, which reads the same certificates by castellan, has the same verdict', async (t) => {
    const { barbican } = await cloudOf(t);
    // As bytes: castellan fails on a certificate that was stored as text.
    const rsaId = barbican.store(Buffer.from(certificates.rsa));
    const eccId = barbican.store(Buffer.from(certificates.ecc));
    const judged = [rsaProperties(rsaId), eccProperties(`${barbican.url}/v1/secrets/${eccId}`)].map((properties) => ({
      certificate: properties.img_signature_certificate_uuid,
      keyType: properties.img_signature_key_type,
      hashMethod: properties.img_signature_hash_method,
      signature: properties.img_signature,
    }));
    const { name, password } = project.accounts.member;
    const { verdicts } = await askCursive({
      verify: [content, otherContent].flatMap((message) => judged.map((one) => ({ ...one, message }))),
      keyManager: {
        url: barbican.url,
        authUrl: stack.openstack.authUrl,
        username: name,
        password,
        project: project.name,
      },
    });
    assert.deepEqual(verdicts, [null, null, 'InvalidSignature: ', 'InvalidSignature: ']);
  });
});

describe('a certificate of the key manager', () => {
  test('a certificate in Barbican is read in DER and PEM, as bytes and as text, by id and by reference', async (t) => {
    const { barbican, store } = await cloudOf(t);
    const certificate = new X509Certificate(certificates.ecc);
    for (const payload of [certificate.raw, Buffer.from(certificates.ecc), certificates.ecc]) {
      const id = barbican.store(payload);
      for (const name of [id, `https://elsewhere.invalid/key-manager/v1/secrets/${id}`]) {
        assert.equal((await store.get(name, signal())).fingerprint256, certificate.fingerprint256);
      }
    }
  });

  const unavailable = (kind: string, message: RegExp, httpStatus?: number) => (error: unknown) => {
    assert.ok(error instanceof CertificateUnavailable, String(error));
    assert.equal(error.code, kind === 'backoff' ? 'KeyManagerUnavailable' : 'CertificateUnavailable');
    assert.match(error.message, message);
    assert.equal(error.retry.kind, kind);
    assert.equal(error.httpStatus, httpStatus);
    return true;
  };

  test('a missing certificate is reported with the message of Barbican', async (t) => {
    const { store } = await cloudOf(t);
    const id = '5f0b6a52-0000-4000-8000-000000000001';
    const words = `^the request for certificate ${id} failed: the key manager returned 404: Secret not found. \\(req-barbican\\)$`;
    await assert.rejects(store.get(id, signal()), unavailable('change', new RegExp(words), 404));
  });

  test('a certificate with an invalid secret id is not requested', async (t) => {
    const { barbican, store } = await cloudOf(t);
    const uuid = '5f0b6a52-0000-4000-8000-000000000001';
    for (const id of ['', '../secrets', `${uuid}/payload?x`, `x${uuid}`, `${uuid}x`, uuid.slice(1)]) {
      await assert.rejects(
        store.get(id, signal()),
        unavailable('change', /^not the id of a secret, which is a UUID: /),
      );
    }
    assert.deepEqual(barbican.requests, []);
  });

  test('an invalid or endless certificate is rejected', async (t) => {
    const { barbican, store } = await cloudOf(t);
    const notOne = barbican.store('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    await assert.rejects(
      store.get(notOne, signal()),
      unavailable('change', / is not an X\.509 certificate in DER or PEM form$/),
    );
    const large = barbican.store(Buffer.alloc(64 * 1024 + 1));
    await assert.rejects(store.get(large, signal()), unavailable('change', /larger than 65536 bytes/));
  });

  test('a certificate is retried after an outage of the key manager, and after a pause when forbidden', async (t) => {
    const { barbican, store } = await cloudOf(t);
    const id = barbican.store(certificates.rsa);
    const answer = (status: number) =>
      barbican.misbehave((response) => response.writeHead(status, { 'content-type': 'text/plain' }).end('busy'));
    answer(500);
    await assert.rejects(store.get(id, signal()), unavailable('backoff', /returned 500: busy$/, 500));
    answer(403);
    await assert.rejects(store.get(id, signal()), unavailable('change', /returned 403: busy$/, 403));
    // It breaks off within its response, and before it.
    barbican.misbehave((response) => {
      response.writeHead(200, { 'content-length': 9 }).write('half', () => response.destroy());
    });
    await assert.rejects(store.get(id, signal()), unavailable('backoff', /did not return certificate/));
    barbican.misbehave((response) => response.destroy());
    await assert.rejects(store.get(id, signal()), unavailable('backoff', /did not return certificate/));
  });

  test('a certificate is an error in a cloud without a key manager', async (t) => {
    const cloud = parseCloud({ cloudsYaml: await project.cloudsYaml() }, 'demo');
    const transport = createTransport({ tls: cloud.tls, userAgent: 'glance-image-operator/test', clock: systemClock });
    const session = createSession({ cloud, transport, clock: systemClock, random: Math.random });
    t.after(() => session.close());
    const id = '5f0b6a52-0000-4000-8000-000000000001';
    await assert.rejects(barbicanCertificates(session).get(id, signal()), EndpointNotFound);
  });
});
