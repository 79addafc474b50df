/**
 * Shows the progress of a transfer: on a terminal one line that is redrawn, elsewhere a plain line now and then.
 *
 * Invariant: unknown values, such as the length or the remaining time, are omitted.
 */
import { formatBytes } from '../lib/bytes.ts';
import type { Clock } from '../lib/clock.ts';
import { formatDuration } from '../lib/duration.ts';
import { noProgress, type TransferProgress } from '../transfer/plan.ts';

/** The part of a stream that is needed. Usually standard error. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface ProgressDisplay {
  update(progress: TransferProgress): void;
  /** Keeps the last line. */
  stop(): void;
}

const redrawMs = 200;
const plainMs = 5_000;
/** The rate is that of the last few seconds. */
const rateWindowMs = 5_000;

/** `reads`: the data goes nowhere. */
export function showProgress(screen: Screen, clock: Clock, reads = false): ProgressDisplay {
  const isTerminal = screen.isTTY === true;
  const meter = createRateMeter(clock);
  let latest = noProgress;
  let shownPhase: TransferProgress['phase'] | undefined;

  const lineOf = (columns: number | undefined) => {
    // The source is open already.
    if (reads && latest.phase === 'connecting') return fit('Reading the first bytes', columns);
    if (reads && latest.phase === 'finishing') return fit(`All ${formatBytes(latest.servedBytes)} read`, columns);
    return progressLine(latest, meter.rate(latest.servedBytes), columns);
  };
  const show = () => {
    const columns = isTerminal ? (screen.columns ?? 80) : undefined;
    screen.write(isTerminal ? `\r${lineOf(columns)}\x1b[K` : `${lineOf(columns)}\n`);
    shownPhase = latest.phase;
  };
  const tick = () => {
    show();
    cancelTimer = clock.schedule(isTerminal ? redrawMs : plainMs, tick);
  };
  let cancelTimer = clock.schedule(isTerminal ? redrawMs : plainMs, tick);

  return {
    update(progress) {
      latest = progress;
    },
    stop() {
      cancelTimer();
      // The result follows at once.
      if (reads && shownPhase === undefined) return;
      if (isTerminal || latest.phase !== shownPhase) show();
      if (isTerminal) screen.write('\n');
    },
  };
}

/** Bytes per second over the last few seconds. Undefined at the start. */
function createRateMeter(clock: Clock) {
  const samples = [{ at: clock.monotonic(), bytes: 0 }];
  return {
    rate(bytes: number): number | undefined {
      const at = clock.monotonic();
      samples.push({ at, bytes });
      while (samples.length > 2 && at - (samples[1]?.at ?? at) >= rateWindowMs) samples.shift();
      const [first] = samples;
      return first === undefined || at === first.at ? undefined : ((bytes - first.bytes) * 1000) / (at - first.at);
    },
  };
}

const widestBar = 30;
const narrowestBar = 10;

/** One line; `columns` is the width of the terminal, if it is one. Bytes are those of the source, whose length is known. */
export function progressLine(progress: TransferProgress, rate: number | undefined, columns?: number): string {
  const { bytes, servedBytes, total, phase } = progress;
  switch (phase) {
    case 'connecting':
      return fit('Connecting to the source', columns);
    case 'finishing':
      return fit(`All ${formatBytes(bytes)} sent; Glance is processing the data`, columns);
    case 'transferring': {
      const speed = rate === undefined ? '' : `, ${formatBytes(Math.max(rate, 0))}/s`;
      if (total === undefined || total === 0) return fit(`${formatBytes(servedBytes)}${speed}`, columns);
      const share = Math.min(1, servedBytes / total);
      const left =
        rate === undefined || rate < 1 ? '' : `, ${formatDuration(((total - servedBytes) * 1000) / rate)} left`;
      const percent = `${Math.floor(100 * share)}%`.padStart(4);
      const words = `${percent}  ${formatBytes(servedBytes)} of ${formatBytes(total)}${speed}${left}`;
      const room = columns === undefined ? 0 : Math.min(widestBar, columns - words.length - 4);
      return room < narrowestBar ? fit(words, columns) : `${bar(share, room)} ${words}`;
    }
  }
}

function bar(share: number, width: number): string {
  return `[${'='.repeat(Math.floor(share * width)).padEnd(width)}]`;
}

/** A line as wide as the terminal may wrap. */
function fit(text: string, columns: number | undefined): string {
  return columns === undefined ? text.trimStart() : text.slice(0, Math.max(0, columns - 1));
}

export interface WorkDisplay extends Disposable {
  update(what: string): void;
  /** Removes the line; its end does too. */
  stop(): void;
}

/** Work that takes longer than this is shown. */
const silentMs = 1_000;

/** What a command is doing, on a terminal only: one line, once it takes more than a second. */
export function showWork(screen: Screen, clock: Clock): WorkDisplay {
  if (screen.isTTY !== true) return { update: () => {}, stop: () => {}, [Symbol.dispose]: () => {} };
  let latest = '';
  let isShown = false;
  const show = () => {
    isShown = true;
    screen.write(`\r${fit(latest, screen.columns ?? 80)}\x1b[K`);
  };
  const cancelTimer = clock.schedule(silentMs, show);
  const stop = () => {
    cancelTimer();
    if (isShown) screen.write('\r\x1b[K');
    isShown = false;
  };
  return {
    update(what) {
      latest = what;
      if (isShown) show();
    },
    stop,
    [Symbol.dispose]: stop,
  };
}
