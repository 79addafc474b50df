/** A certificate for 127.0.0.1 and localhost that signs itself: what the test environment's own https servers show. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { folders } from './parts.mjs';
import { run } from './processes.ts';
import { python } from './wsgi.ts';

export interface TestTls {
  key: string;
  cert: string;
}

/** Its `cert` is also what a client has to trust. */
export function testTls(): TestTls {
  const read = (name: string) => readFileSync(join(folders.template, 'tls', name), 'utf8');
  return { key: read('key.pem'), cert: read('cert.pem') };
}

/** Makes `key.pem` and `cert.pem` in a directory, by Python's cryptography: Node can make keys but no certificates. */
export async function makeTls(directory: string): Promise<void> {
  const program = `
import datetime, ipaddress, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "glance-image-operator tests")])
now = datetime.datetime.now(datetime.timezone.utc)
names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
  .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
  .not_valid_after(now + datetime.timedelta(days=36500)).add_extension(names, False)
  .add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256()))
pem = serialization.Encoding.PEM
open(sys.argv[1] + "/key.pem", "wb").write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
open(sys.argv[1] + "/cert.pem", "wb").write(cert.public_bytes(pem))
`;
  await run(python, ['-c', program, directory]);
}
