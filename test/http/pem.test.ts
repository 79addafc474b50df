import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { readPemCertificates } from '../../src/http/pem.ts';
import { type Certificates, makeCertificates } from '../env/certificates.ts';

let made: Certificates;
before(async () => {
  made = await makeCertificates();
});

test('certificates are read in their order, whatever text stands around them', () => {
  const [one, other] = [made.good.cert, made.selfSigned.cert];
  const read = readPemCertificates(`# one\r\n${one}\nnotes -----BEGIN X----- \n${other}trailing`);
  assert.equal(read.kind, 'certificates');
  const single = [one, other].map((pem) => readPemCertificates(pem));
  assert.deepEqual(
    read.certificates.map((each) => each.read.fingerprint256),
    single.flatMap((each) => (each.kind === 'certificates' ? each.certificates.map((c) => c.read.fingerprint256) : [])),
  );
});

test('a certificate that is cut off is none, and damages those before it', () => {
  assert.deepEqual(readPemCertificates('-----BEGIN CERTIFICATE-----\nAAAA'), { kind: 'none' });
  const cut = `-----BEGIN CERTIFICATE-----\nAAAA\n${made.good.cert}`;
  const read = readPemCertificates(cut);
  assert.ok(read.kind === 'unreadable' && read.number === 1 && read.of === 1);
});

/** Where the time was quadratic, a text of this size took minutes. */
test('a text of beginnings without an end is read in time that is linear in its length', { timeout: 60_000 }, () => {
  for (const unit of [
    '-----BEGIN CERTIFICATE-----\n',
    '-----BEGIN CERTIFICATE-----',
    '-----END CERTIFICATE-----',
    '-',
    '-----BEGIN TRUSTED ',
  ])
    assert.equal(readPemCertificates(unit.repeat(4_000_000 / unit.length)).kind, 'none', unit);
});
