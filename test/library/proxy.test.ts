/** The option `proxy` of the library, with a proxy that leads everything to a stub of Glance. */
import assert from 'node:assert/strict';
import { before, describe, type TestContext, test } from 'node:test';
import { stringify } from 'yaml';
import { InvalidRequest } from '../../src/glance/errors.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { connectImageService, type ProxyOptions } from '../../src/library/connect.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';
import { imageId, wireImage } from '../glance/model.ts';
import { type StubOptions, startStubProxy } from '../http/stub-proxy.ts';
import { reply, serve } from '../openstack/stub.ts';
import { untyped } from './untyped.ts';

let certificates: Certificates;
before(async () => {
  certificates = await makeCertificates();
});

/** A Glance whose name only the proxy knows. */
async function behind(t: TestContext, stub: Partial<StubOptions> = {}) {
  const address = await serve(t, (request, response) =>
    request.url === '/v2/schemas/image' ? reply(response, 404, {}) : reply(response, 200, wireImage()),
  );
  const proxy = await startStubProxy({ port: Number(new URL(address).port), ...stub });
  t.after(() => proxy[Symbol.asyncDispose]());
  const connect = (options: Partial<ProxyOptions> = {}, endpoint = 'http://glance.example.com') => {
    const entry = { auth_type: 'admin_token', token: 'a-token', image_endpoint_override: endpoint };
    const images = connectImageService({
      cloudsYaml: stringify({ clouds: { demo: entry } }),
      cloud: 'demo',
      requester: { token: true, projectId: 'p' },
      retries: 0,
      trustedEndpoints: ['http://other.example.com'],
      proxy: { url: proxy.url, ...options },
    });
    t.after(() => images.close());
    return images;
  };
  return { proxy, address, connect };
}

const asImage = `GET http://glance.example.com/v2/images/${imageId}`;
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('a proxy of the library', () => {
  test('the library reaches a cloud and other endpoints through its proxy, with the credentials of the moment', async (t) => {
    const { proxy, connect } = await behind(t);
    let login = 'user:one';
    const images = connect({ credentials: () => login });
    assert.equal((await images.show(imageId)).id, imageId);
    login = 'user:two';
    await using other = images.at('http://other.example.com');
    assert.equal((await other.show(imageId)).id, imageId);
    const shown = proxy.requests.filter(({ line }) => line.endsWith(imageId));
    assert.deepEqual(
      shown.map(({ line, headers }) => [line, headers['proxy-authorization'], headers['x-auth-token']]),
      [
        [asImage, basic('user:one'), 'a-token'],
        [asImage.replace('glance', 'other'), basic('user:two'), 'a-token'],
      ],
    );
  });

  test('the library reaches the exceptions of its proxy directly', async (t) => {
    const { proxy, address, connect } = await behind(t);
    assert.equal((await connect({ except: ['127.0.0.0/8'] }, address).show(imageId)).id, imageId);
    assert.deepEqual(proxy.requests, []);
  });

  test('the library trusts the authority of a proxy behind https that it is given, and no other', async (t) => {
    const { proxy, connect } = await behind(t, { tls: certificates.good });
    assert.equal((await connect({ ca: certificates.ca }).show(imageId)).id, imageId);
    assert.equal(proxy.requests.at(-1)?.line, asImage);
    await assert.rejects(connect().show(imageId), isDenied(/the certificate of the proxy .* is not trusted/));
  });

  test('the library reports a proxy that rejects its connections', async (t) => {
    const { connect } = await behind(t, { status: 407 });
    await assert.rejects(
      connect({ credentials: 'user:hunter2' }).show(imageId),
      isDenied(/^(?!.*hunter2).*responded with 407/s),
    );
  });

  test('the library rejects a proxy that cannot be used before any call, without its password', async (t) => {
    const { connect } = await behind(t);
    const wrong: [what: Partial<ProxyOptions>, message: RegExp][] = [
      [{ url: 'proxy.example.com:3128' }, /proxy\.url: must be a URL/],
      [
        { url: 'http://user:hunter2@proxy.example.com' },
        /proxy\.url: must have no user and password: put them into credentials/,
      ],
      [{ except: ['10.0.0.0/99'] }, /proxy\.except: .*10\.0\.0\.0\/99/],
      [{ ca: 'no certificate' }, /proxy\.ca: expected certificates in PEM/],
      [JSON.parse('{"url": 1}'), /proxy\.url: expected string/],
      [JSON.parse('{"credentials": 1}'), /proxy\.credentials: /],
      [JSON.parse('{"noProxy": []}'), /noProxy/],
    ];
    for (const [options, message] of wrong)
      assert.throws(
        () => connect(options),
        (error) => error instanceof InvalidRequest && message.test(error.message) && !error.message.includes('hunter2'),
        String(message),
      );
  });

  test('credentials that are no text are a ProxyDenied that quotes none of them', async (t) => {
    const { connect } = await behind(t);
    for (const wrong of [7, null, undefined, {}, Promise.resolve('user:secret')]) {
      const images = connect({ credentials: () => untyped(wrong) });
      await assert.rejects(images.show(imageId), (error) => {
        assert.ok(error instanceof OperatorError, `${error}`);
        assert.equal(error.code, 'ProxyDenied');
        assert.match(error.message, /not one line of the form USER:PASSWORD$/);
        return true;
      });
    }
  });
});

function isDenied(message: RegExp) {
  return (error: unknown) =>
    error instanceof OperatorError && error.code === 'ProxyDenied' && message.test(error.message);
}
