/**
 * A directory and a PATH in which the commands of a page run without effect: a command that would change a cluster is a
 * dry run, a command that would start something is only looked up.
 *
 * Invariant: a command, a flag, a file or a kind that does not exist is an error; a missing object is not.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { folders } from '../env/parts.mjs';
import { fileNameOf, type Page, root } from './pages.ts';

export interface Sandbox {
  directory: string;
  env: NodeJS.ProcessEnv;
  /** What was wrong with the commands so far. */
  complaints(): string[];
}

export interface SandboxOptions {
  /** An empty directory. */
  directory: string;
  /** The text of it. */
  kubeconfig: string;
  /** clouds.yaml of the login of the reader. */
  login: string;
  page: Page;
  /** A directory for the output of commands that take seconds. A command that stands on several pages runs once. */
  kept: string;
}

const chart = join(root, 'charts/glance-image-operator');
const main = join(root, 'src/main.ts');

/** Kinds of others, which the server of the tests does not know. */
const foreignKinds =
  'kustomization|helmrelease|ocirepositorie|ocirepository|gitrepository|application|appproject|machinedeployment|openstackmachinetemplate';

/**
 * Runs the real one; its failure counts unless it is that something is not there, or there already. "Multi Backend" is what
 * `openstack image delete` of python-openstackclient 9.0.1 says of an image that does not exist.
 */
const checked = `check() {
  local out; out="$(timeout 300 "$@" 2>&1)"; local code=$?
  [ -z "$out" ] || printf '%s\\n' "$out"
  [ "$code" = 0 ] && return
  # "no" is a result, with the exit code 1.
  case "$*" in *' auth can-i '*) [ "\${out##*$'\\n'}" = no ] && return ;; esac
  printf '%s' "$out" | grep -qE "resource type \\"(${foreignKinds})s?\\"" && return 0
  printf '%s' "$out" | grep -qiE 'already exists|not ?found|no [a-z]+ found|No resources found|could not be found|Multi Backend support not enabled' && return 0
  complain "$*: $out"
}
complain() { printf '%s\\n' "\${1//$'\\n'/ }" >> "$COMPLAINTS"; }`;

const commands: Readonly<Record<string, string>> = {
  kubectl: `[ "$1" = glanceimage ] && { shift; exec glance-image-operator "$@"; }
real=${join(folders.tools, 'kubectl')}
args=(); dry=''
for word in "$@"; do
  case "$word" in
    apply|create|delete|patch|annotate|label|scale|set) [ -n "$dry" ] || dry=--dry-run=server ;;
    get|describe|wait|logs|events|explain|rollout|kustomize|auth) [ -n "$dry" ] || dry=none ;;
    # They would not end.
    --watch|-w|--follow) continue ;;
    port-forward) dry=--help ;;
  esac
  args+=("$word")
done
[ "$dry" = none ] && dry=''
check "$real" "\${args[@]}" $dry`,
  helm: `real=${join(folders.tools, 'helm')}
args=(); skip=''
for word in "$@"; do
  case "$skip$word" in
    oci://ghcr.io/glance-image-operator/charts/glance-image-operator*|./charts/glance-image-operator) args+=(${chart}) ;;
    --version|--timeout) skip=skip: ; continue ;;
    skip:*|--install|--atomic|--wait|--reuse-values|--reset-then-reuse-values|--version=*|--timeout=*|--create-namespace) ;;
    *) args+=("$word") ;;
  esac
  skip=''
done
case "$1" in
  install|upgrade) args[0]=template; check "$real" "\${args[@]}" > /dev/null ;;
  template|lint|show|uninstall|status|history|get|list) check "$real" "\${args[@]}" ;;
  *) check "$real" help "$1" > /dev/null ;;
esac`,
  // Each run of it loads Python for seconds. One that had a complaint runs again.
  openstack: `kept="$KEPT/$(printf '%s\\0' "$@" | sha256sum | cut -d ' ' -f 1)"
[ -e "$kept" ] && exec cat "$kept"
out="$(PYTHONPATH=${folders.openstackClient} check ${join(folders.python, 'bin/python')} -m openstackclient.shell "$@")"
[ -s "$COMPLAINTS" ] || printf '%s\\n' "$out" > "$kept"
printf '%s\\n' "$out"`,
  // The help of a command is asked for once.
  'glance-image-operator': `kept="$KEPT/help-\${1:-run}"
if [ -e "$kept" ]; then help="$(cat "$kept")"
elif help="$(${process.execPath} ${main} "\${1:-run}" --help 2>&1)"; then printf '%s\\n' "$help" > "$kept"
else complain "glance-image-operator $1: $help"; fi
for word in "$@"; do
  case "$word" in
    --help) ;;
    --*) grep -qE -- "^  \${word%%=*}( |,|$)" <<< "$help" || complain "glance-image-operator $1: there is no $word" ;;
  esac
done`,
  node: `case "$1" in dist/glance-image-operator.js) shift; exec glance-image-operator "$@" ;; *) [ -e "$1" ] || complain "node: there is no $1" ;; esac`,
  npm: `case "$1" in
  run) grep -q "\\"$2\\":" ${join(root, 'package.json')} || complain "npm run $2: there is no such script" ;;
  test|ci|install) ;;
  *) complain "npm $1: no test covers this" ;;
esac`,
};

/** Cannot be had here: that the line is shell is all that is known of them. */
const unchecked = ['argocd', 'curl', 'docker', 'flux', 'git', 'cosign', 'terraform', 'tofu', 'ssh', 'qemu-img'];

export function createSandbox({ directory, kubeconfig, login, page, kept }: SandboxOptions): Sandbox {
  const bin = join(directory, '.bin');
  mkdirSync(bin);
  const complaints = join(directory, '.complaints');
  writeFileSync(complaints, '');
  for (const [name, body] of Object.entries(commands)) {
    writeFileSync(join(bin, name), `#!/usr/bin/env bash\n${checked}\n${body}\n`, { mode: 0o755 });
  }
  for (const name of unchecked) writeFileSync(join(bin, name), '#!/bin/sh\n', { mode: 0o755 });
  for (const name of ['crds', 'charts', 'examples', 'Dockerfile']) symlinkSync(join(root, name), join(directory, name));
  for (const block of page.blocks) {
    const name = fileNameOf(block);
    if (name === undefined) continue;
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), block.text);
  }
  for (const name of ['clouds.yaml', 'ca.pem', 'my-ca.pem', 'plan.json'])
    if (!existsSync(join(directory, name))) writeFileSync(join(directory, name), '');
  const kubeconfigFile = join(directory, '.kubeconfig');
  writeFileSync(kubeconfigFile, kubeconfig, { mode: 0o600 });
  const loginFile = join(directory, '.login.yaml');
  writeFileSync(loginFile, login, { mode: 0o600 });
  return {
    directory,
    env: {
      PATH: `${bin}:/usr/bin:/bin`,
      HOME: directory,
      COMPLAINTS: complaints,
      KEPT: kept,
      KUBECONFIG: kubeconfigFile,
      OS_CLIENT_CONFIG_FILE: loginFile,
      OS_CLOUD: 'demo',
    },
    complaints: () =>
      readFileSync(complaints, 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
  };
}
