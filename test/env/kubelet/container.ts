/**
 * The container of a Pod as a process: under the user of its security context where the tests run as root, without a way to gain
 * rights, in a process group of its own. Its root file system is that of the machine, and it has no limits of CPU or memory.
 */
import {
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Kubernetes } from '../kubernetes.ts';
import { isRoot } from '../parts.mjs';
import type { Exit, Processes, ServerProcess } from '../processes.ts';
import type { Pod } from './pod.ts';
import { type Identity, mount, variables, withPaths } from './volumes.ts';

export interface RunningContainer {
  readonly process: ServerProcess;
  /** Of its volumes. */
  readonly directory: string;
  readonly exited: Promise<Terminated>;
  /** What it has printed. */
  log(): string;
  /** Sends a signal to it and to the processes that it has started. */
  signal(name: NodeJS.Signals): void;
}

export interface Terminated {
  exitCode: number;
  signal?: number;
  message?: string;
  startedAt: string;
  finishedAt: string;
}

/** The bounds of a kubelet. */
const mostMessage = 4096;
const mostFallback = 2048;

const signalNumbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGKILL: 9, SIGTERM: 15 };

/** Rejects with NotMounted while an object that the Pod names is missing. */
export async function startContainer(
  processes: Processes,
  kubernetes: Kubernetes,
  pod: Pod,
  entrypoint: readonly string[],
): Promise<RunningContainer> {
  const [container] = pod.spec.containers;
  const identity = identityOf(pod);
  const directory = join(processes.directory, 'pods', pod.metadata.uid);
  mkdirSync(directory, { recursive: true });
  const mounted = await mount(kubernetes, pod, directory, identity);
  const messageFile = join(directory, 'termination-message');
  writeFileSync(messageFile, '', { mode: 0o600 });
  if (isRoot) chownSync(messageFile, identity.uid, identity.gid);
  const paths = { ...mounted, [container.terminationMessagePath]: messageFile };
  const own = await variables(kubernetes, pod, directory, identity);
  const env = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, withPaths(value, paths)]));
  const [command = '', ...args] = [...(container.command ?? entrypoint), ...container.args];
  const argv = [command, ...args].map((each) => withPaths(each, paths));
  const startedAt = new Date().toISOString();
  const name = `pod-${pod.metadata.name}-${pod.metadata.uid}`;
  const process_ = await processes.start({
    name,
    ...confined(argv, identity, pod.spec.securityContext?.fsGroup),
    env: { PATH: process.env['PATH'], HOME: '/', ...env },
    ready: async () => true,
  });
  const logFile = join(processes.directory, 'logs', `${name}.log`);
  return {
    process: process_,
    directory,
    exited: process_.exited.then((exit) => terminated(pod, exit, startedAt, messageFile, logFile)),
    log: () => readFileSync(logFile, 'utf8'),
    signal: (signal) => {
      try {
        process.kill(-process_.pid, signal);
      } catch {
        // It has just ended.
      }
    },
  };
}

function identityOf(pod: Pod): Identity {
  const [container] = pod.spec.containers;
  const { runAsUser, runAsGroup, runAsNonRoot } = { ...pod.spec.securityContext, ...container.securityContext };
  const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  if (!isRoot || !othersMayRead(join(import.meta.dirname, '../../../src/main.ts'))) return own;
  const uid = runAsUser ?? (runAsNonRoot === true ? 65532 : 0);
  return { uid, gid: runAsGroup ?? uid };
}

/** The checkout of root may lie in its home, where no other user can read the programs. */
export function othersMayRead(path: string): boolean {
  const folders = [];
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) folders.push(folder);
  return (statSync(path).mode & 0o4) !== 0 && folders.every((folder) => (statSync(folder).mode & 0o1) !== 0);
}

function confined([command = '', ...args]: readonly string[], { uid, gid }: Identity, group = gid) {
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((file) => existsSync(file));
  if (setpriv === undefined) return { command, args, ...(isRoot ? { identity: { uid, gid } } : {}) };
  const user = isRoot ? [`--reuid=${uid}`, `--regid=${gid}`, `--groups=${group}`, '--bounding-set=-all'] : [];
  return { command: setpriv, args: ['--no-new-privs', ...user, '--inh-caps=-all', command, ...args] };
}

function terminated(pod: Pod, { code, signal }: Exit, startedAt: string, messageFile: string, log: string): Terminated {
  const [{ terminationMessagePolicy: policy }] = pod.spec.containers;
  const number = signal === null ? undefined : (signalNumbers[signal] ?? 0);
  const exitCode = code ?? 128 + (number ?? 0);
  const written = head(messageFile, mostMessage);
  const isFallback = written === '' && policy === 'FallbackToLogsOnError' && exitCode !== 0;
  const message = isFallback
    ? readFileSync(log, 'utf8').split('\n').slice(-80).join('\n').slice(-mostFallback)
    : written;
  return {
    exitCode,
    ...(number === undefined ? {} : { signal: number }),
    ...(message === '' ? {} : { message }),
    startedAt,
    finishedAt: new Date().toISOString(),
  };
}

function head(file: string, most: number): string {
  const opened = openSync(file, 'r');
  const buffer = Buffer.alloc(most);
  const length = readSync(opened, buffer);
  closeSync(opened);
  return buffer.subarray(0, length).toString();
}
