/**
 * Prints what CHANGELOG.md says of one version, for the page of its release: `node release/notes.ts v0.1.0`. Law: a tag that is not
 * the version of package.json, or a version whose changes nobody has written down and dated, is refused before anything is
 * published.
 */
import { readFileSync } from 'node:fs';
import packageJson from '../package.json' with { type: 'json' };

/** The section of `version` without its heading. Throws where there is none, or none with a date. */
export function notesOf(changelog: string, version: string): string {
  const sections = changelog.split(/^## /m).slice(1);
  const section = sections.find((text) => text.split(/\s/)[0] === version);
  if (section === undefined) throw new Error(`CHANGELOG.md has no section "## ${version}"`);
  const [heading = '', ...lines] = section.split('\n');
  if (!/^\S+ \(\d{4}-\d{2}-\d{2}\)$/.test(heading))
    throw new Error(`CHANGELOG.md has no date for ${version}: "## ${heading}"`);
  return lines.join('\n').trim();
}

/** The version that a tag names. Throws where it is not the one of this checkout. */
export function versionOf(tag: string): string {
  if (tag !== `v${packageJson.version}`)
    throw new Error(`the tag ${tag} is not v${packageJson.version} of package.json`);
  return packageJson.version;
}

if (import.meta.main) {
  const changelog = readFileSync(new URL('../CHANGELOG.md', import.meta.url), 'utf8');
  process.stdout.write(`${notesOf(changelog, versionOf(process.argv[2] ?? ''))}\n`);
}
