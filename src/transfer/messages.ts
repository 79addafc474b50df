/** What an executor and its thread say to each other. Law: all of it can be cloned. */
import type { EgressRules } from '../http/egress.ts';
import type { TransferAccess } from './executor.ts';
import type { PlainError } from './plain-error.ts';
import type { TransferPlan, TransferProgress, TransferResult } from './plan.ts';

/** With which a thread is born. */
export interface ThreadData {
  egress: EgressRules;
  /** Of the fence around what is written (`http/fence.ts`); absent where there is none. */
  fence: SharedArrayBuffer | undefined;
}

export type ToThread =
  | { kind: 'run'; id: number; plan: TransferPlan; access: TransferAccess }
  | { kind: 'cancel'; id: number }
  /** End all runs, close what is open, and be gone. */
  | { kind: 'close' }
  /** Are you there? */
  | { kind: 'ping' };

export type FromThread =
  | { kind: 'progress'; id: number; progress: TransferProgress }
  | { kind: 'succeeded'; id: number; result: TransferResult }
  | { kind: 'failed'; id: number; error: PlainError }
  | { kind: 'pong' };
