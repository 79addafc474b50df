/**
 * The slots of running transfers: which may start as far as the limits allow.
 *
 * Invariant: a run is counted from `take` to `giveBack`, for its cloud, its source host and its namespace.
 */

/** Limits of running transfers. */
export interface TransferLimits {
  total: number;
  /** For one namespace. Below `total`, it also reserves the last free slot for a namespace without a running transfer. */
  perNamespace: number;
  /** For one cloud. */
  perCloud: number;
  /** For one source host. */
  perHost: number;
}

/** Where a transfer counts. */
export interface Occupancy {
  readonly cloud: string;
  readonly host: string;
  readonly namespace: string;
}

export function createSlots() {
  const toCloud = createCounter();
  const fromHost = createCounter();
  const ofNamespace = createCounter();

  /** Whether a transfer may start among `running` others, once the run of `without` has ended. */
  function hasRoomIf(limits: TransferLimits, place: Occupancy, running: number, without?: Occupancy): boolean {
    const { cloud, host, namespace } = place;
    const fewer = (same: boolean) => (same ? 1 : 0);
    const own = ofNamespace.of(namespace) - fewer(without?.namespace === namespace);
    const isLast = running >= limits.total - 1;
    const isReserved = isLast && own > 0 && limits.perNamespace < limits.total;
    return (
      !isReserved &&
      own < limits.perNamespace &&
      toCloud.of(cloud) - fewer(without?.cloud === cloud) < limits.perCloud &&
      fromHost.of(host) - fewer(without?.host === host) < limits.perHost
    );
  }

  return {
    hasRoomIf,
    take({ cloud, host, namespace }: Occupancy): void {
      toCloud.add(cloud);
      fromHost.add(host);
      ofNamespace.add(namespace);
    },
    giveBack({ cloud, host, namespace }: Occupancy): void {
      toCloud.remove(cloud);
      fromHost.remove(host);
      ofNamespace.remove(namespace);
    },
    /** Runs into this cloud. */
    toCloud: toCloud.of,
  };
}

/** Counts by name. A count of zero takes no memory. */
export function createCounter() {
  const counts = new Map<string, number>();
  const of = (name: string) => counts.get(name) ?? 0;
  return {
    add: (name: string) => void counts.set(name, of(name) + 1),
    remove(name: string) {
      if (of(name) > 1) counts.set(name, of(name) - 1);
      else counts.delete(name);
    },
    of,
  };
}
