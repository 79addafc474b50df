/**
 * Prints the text of a release's page: `npm run --silent notes -- v0.1.0 [--image REF@DIGEST --chart REF@DIGEST]`.
 *
 * Invariant: a tag that differs from the version of package.json, or a version without a dated section of changes, is
 * rejected before anything is published.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import packageJson from '../package.json' with { type: 'json' };

/** Where releases are made; it is what their signatures name. */
export const repository = 'glance-image-operator/glance-image-operator';

/** The section of `version` without its heading. Throws where there is none, or none with a date. */
export function notesOf(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.split(/\s/)[0] === version);
  if (section === undefined) throw new Error(`CHANGELOG.md has no section "## ${version}"`);
  const [heading = '', ...lines] = section.split('\n');
  if (!/^\S+ \(\d{4}-\d{2}-\d{2}\)$/.test(heading)) {
    throw new Error(`CHANGELOG.md has no date for ${version}: its heading is "## ${heading}"`);
  }
  return lines.join('\n').trim();
}

/** The version that a tag names. Throws where it is not the one of this checkout. */
export function versionOf(tag: string): string {
  if (tag === `v${packageJson.version}`) return packageJson.version;
  throw new Error(`the tag ${tag} does not name the version of package.json, which is v${packageJson.version}`);
}

/** How to install exactly this, and how to see who made it. */
export function verification(tag: string, { image, chart }: { image: string; chart: string }): string {
  const identity = `https://github.com/${repository}/.github/workflows/release.yaml@refs/tags/${tag}`;
  return `## Install

\`\`\`sh
helm install glance-image-operator oci://${chart} --namespace glance-image-operator-system --create-namespace
\`\`\`

or \`kubectl apply --server-side -f install.yaml\`. The image is \`${image}\`.

## Verify

\`\`\`sh
for subject in ${image} \\
  ${chart}; do
  cosign verify "$subject" --certificate-oidc-issuer https://token.actions.githubusercontent.com \\
    --certificate-identity ${identity}
  gh attestation verify "oci://$subject" --repo ${repository}
done
sha256sum --check SHA256SUMS && gh attestation verify SHA256SUMS --repo ${repository}
\`\`\``;
}

function main(): void {
  const options = { image: { type: 'string' }, chart: { type: 'string' } } as const;
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  const [tag = ''] = positionals;
  const changelog = readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8');
  const parts = [notesOf(changelog, versionOf(tag))];
  const { image, chart } = values;
  if (image !== undefined && chart !== undefined) parts.push(verification(tag, { image, chart }));
  process.stdout.write(`${parts.join('\n\n')}\n`);
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
