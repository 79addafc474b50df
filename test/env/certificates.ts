/**
 * A private certificate authority, and server certificates that are correct or wrong in one way each. They are made by
 * Python's cryptography, because Node cannot make certificates.
 *
 * Invariant: nothing is stored; the keys live as long as the test.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { run } from './processes.ts';
import { python } from './wsgi.ts';

const pair = z.object({ key: z.string(), cert: z.string() });
const certificates = z.object({
  /** PEM of the authority. */
  ca: z.string(),
  /** PEM of another authority, which has signed nothing. */
  otherCa: z.string(),
  /** For 127.0.0.1 and localhost, signed by `ca`. */
  good: pair,
  /** Signed by `ca`, for another name. */
  misnamed: pair,
  /** Signed by `ca`, and out of date. */
  expired: pair,
  /** Signed by `ca`, and valid from tomorrow on. */
  early: pair,
  /** Self-signed. */
  selfSigned: pair,
  /** For 127.0.0.1 and localhost, signed by `issuer`, which `ca` has signed. `cert` contains both certificates. */
  chained: pair,
  /** PEM of the certificate between `ca` and `chained`. */
  issuer: z.string(),
  /** Self-signed, with an RSA key that TLS no longer accepts. */
  shortKey: pair,
});
export type Certificates = z.infer<typeof certificates>;

const program = `
import datetime, ipaddress, json, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
now = datetime.datetime.now(datetime.timezone.utc)
day = datetime.timedelta(days=1)
here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
def named(text):
  return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
def make(name, issuer=None, names=None, start=-2, end=30, key=None):
  key = key or ec.generate_private_key(ec.SECP256R1())
  signer = issuer or (named(name), key)
  builder = (x509.CertificateBuilder().subject_name(named(name)).issuer_name(signer[0]).public_key(key.public_key())
    .serial_number(x509.random_serial_number()).not_valid_before(now + start * day).not_valid_after(now + end * day)
    .add_extension(x509.BasicConstraints(names is None, None), True)
    .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer[1].public_key()), False))
  if names is not None: builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
  cert = builder.sign(signer[1], hashes.SHA256())
  pem = serialization.Encoding.PEM
  text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
  return (named(name), key), {"key": text, "cert": cert.public_bytes(pem).decode()}
ca, made = make("tests CA")
between, issuer = make("tests issuer", ca)
chained = make("chained", between, here)[1]
json.dump({
  "ca": made["cert"],
  "otherCa": make("another CA")[1]["cert"],
  "good": make("good", ca, here)[1],
  "misnamed": make("misnamed", ca, [x509.DNSName("elsewhere.example.com")])[1],
  "expired": make("expired", ca, here, -9, -1)[1],
  "early": make("early", ca, here, 1, 9)[1],
  "selfSigned": make("self", None, here)[1],
  "chained": {"key": chained["key"], "cert": chained["cert"] + issuer["cert"]},
  "issuer": issuer["cert"],
  "shortKey": make("short", None, here, key=rsa.generate_private_key(65537, 1024))[1],
}, open(sys.argv[1], "w"))
`;

/** Takes about half a second. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'glance-image-operator-certificates-'));
  try {
    const file = join(folder, 'certificates.json');
    await run(python, ['-c', program, file]);
    return certificates.parse(JSON.parse(await readFile(file, 'utf8')));
  } finally {
    await rm(folder, { recursive: true });
  }
}
