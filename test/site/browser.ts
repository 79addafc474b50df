/**
 * Headless Chromium, driven by its DevTools protocol: loads pages at a width and in a colour scheme, and evaluates
 * expressions in them.
 *
 * Invariant: the browser connects to this machine only, and it ends with its owner.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { folders } from '../env/parts.mjs';

const message = z.looseObject({
  id: z.number().optional(),
  method: z.string().optional(),
  params: z.looseObject({}).optional(),
  result: z.unknown().optional(),
  error: z.looseObject({ message: z.string() }).optional(),
});
const evaluated = z.looseObject({
  result: z.looseObject({ value: z.unknown().optional() }),
  exceptionDetails: z.unknown().optional(),
});

export interface View {
  width: number;
  scheme: 'light' | 'dark';
}

export interface Tab {
  /** Ends when the page and its scripts are loaded. */
  open: (url: string) => Promise<void>;
  show: (view: View) => Promise<void>;
  /** The value of an expression, which may be a promise. Throws with the exception of the page. */
  evaluate: (expression: string) => Promise<unknown>;
  /** A PNG of the visible part, or of `height` pixels from the top. */
  picture: (view: View, height: number) => Promise<Buffer>;
  /** What the console and the network reported as errors since the last call. */
  takeErrors: () => string[];
}

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-proxy-server',
  '--hide-scrollbars',
  '--remote-debugging-port=0',
  // No name resolves but that of this machine.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];

export interface Browser {
  tab: () => Promise<Tab>;
  stop: () => Promise<void>;
}

export async function startBrowser(): Promise<Browser> {
  const profile = await mkdtemp(join(tmpdir(), 'browser-'));
  const home = folders.browser;
  const env = {
    ...process.env,
    HOME: profile,
    LD_LIBRARY_PATH: join(home, 'lib'),
    FONTCONFIG_PATH: join(home, 'fonts'),
  };
  const child = spawn(join(home, 'chromium'), [...flags, `--user-data-dir=${profile}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env,
  });
  const ended = once(child, 'close');
  const socket = new WebSocket(await addressIn(child.stderr));
  await once(socket, 'open');
  const connection = speakOver(socket);
  return {
    tab: () => openTab(connection),
    stop: async () => {
      socket.close();
      child.kill();
      await ended;
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Where the browser listens, which it prints when it has started. */
async function addressIn(stderr: NodeJS.ReadableStream): Promise<string> {
  let output = '';
  for await (const line of createInterface({ input: stderr })) {
    const [, address] = /^DevTools listening on (ws:\S+)$/.exec(line) ?? [];
    if (address !== undefined) {
      stderr.resume();
      return address;
    }
    output += `${line}\n`;
  }
  throw new Error(`Chromium has ended:\n${output}`);
}

type Listener = (method: string, params: Record<string, unknown>) => void;

interface Connection {
  call: (method: string, params: Record<string, unknown>, session?: string) => Promise<unknown>;
  listen: (listener: Listener) => void;
}

function speakOver(socket: WebSocket): Connection {
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const listeners: Listener[] = [];
  let last = 0;
  socket.addEventListener('message', ({ data }) => {
    const { id, method, params, result, error } = message.parse(JSON.parse(String(data)));
    if (method !== undefined) for (const listener of listeners) listener(method, params ?? {});
    const call = waiting.get(id ?? 0);
    waiting.delete(id ?? 0);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error.message));
  });
  socket.addEventListener('close', () => {
    for (const call of waiting.values()) call.reject(new Error('the browser has ended'));
  });
  return {
    call: (method, params, sessionId) => {
      const call = Promise.withResolvers<unknown>();
      last += 1;
      waiting.set(last, call);
      socket.send(JSON.stringify({ id: last, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
      return call.promise;
    },
    listen: (listener) => listeners.push(listener),
  };
}

const logEntry = z.looseObject({
  entry: z.looseObject({ level: z.string(), text: z.string(), url: z.string().optional() }),
});

/** The error that an event reports, if it reports one. */
function errorOf(method: string, params: Record<string, unknown>): string | undefined {
  if (method === 'Runtime.exceptionThrown') return JSON.stringify(params);
  if (method === 'Runtime.consoleAPICalled')
    return params['type'] === 'error' || params['type'] === 'warning' ? JSON.stringify(params['args']) : undefined;
  if (method !== 'Log.entryAdded') return undefined;
  const { entry } = logEntry.parse(params);
  return entry.level === 'error' ? `${entry.text} ${entry.url ?? ''}` : undefined;
}

async function openTab({ call, listen }: Connection): Promise<Tab> {
  const { targetId } = z
    .looseObject({ targetId: z.string() })
    .parse(await call('Target.createTarget', { url: 'about:blank' }));
  const attached = await call('Target.attachToTarget', { targetId, flatten: true });
  const { sessionId } = z.looseObject({ sessionId: z.string() }).parse(attached);
  const send = (method: string, params: Record<string, unknown> = {}) => call(method, params, sessionId);
  let errors: string[] = [];
  let loaded = Promise.withResolvers<void>();
  listen((method, params) => {
    const error = errorOf(method, params);
    if (error !== undefined) errors = [...errors, error];
    if (method === 'Page.loadEventFired') loaded.resolve();
  });
  for (const domain of ['Page', 'Runtime', 'Log']) await send(`${domain}.enable`);
  const evaluate = async (expression: string) => {
    const answer = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const { result, exceptionDetails } = evaluated.parse(answer);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return result.value;
  };
  const show = async ({ width, scheme }: View, height = 900) => {
    await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 500 });
    await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
    // Two frames: one in which the styles change, one in which they have changed, and with them what moves meanwhile.
    await evaluate(`(async () => {
      for (let frame = 0; frame < 2; frame += 1) await new Promise((done) => requestAnimationFrame(done));
      await Promise.allSettled(document.getAnimations().map(({ finished }) => finished));
    })()`);
  };
  return {
    open: async (url) => {
      loaded = Promise.withResolvers<void>();
      await send('Page.navigate', { url });
      await loaded.promise;
      await evaluate('document.fonts.ready.then(() => undefined)');
    },
    show,
    evaluate,
    picture: async (view, height) => {
      await show(view, height);
      const { data } = z.looseObject({ data: z.string() }).parse(await send('Page.captureScreenshot', {}));
      return Buffer.from(data, 'base64');
    },
    takeErrors: () => {
      const taken = errors;
      errors = [];
      return taken;
    },
  };
}
