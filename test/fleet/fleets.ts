/** The fleets whose figures the page about scale shows: 500 images of 2 GiB for 20 clouds, from 25 hosts, declared at one moment. */
import type { TransferLimits } from '../../src/transfer/slots.ts';
import type { Fleet, FleetImage } from './fleet.ts';

export const largeTeam = 'large';
export const smallTeams = Array.from({ length: 9 }, (_, at) => `small-${at + 1}`);
export const cloudOf = (at: number) => `https://cloud-${at}.example.com`;
export const defaultLimits: TransferLimits = { total: 5, perNamespace: 4, perCloud: 4, perHost: 4 };

const mib = 2 ** 20;

/** 275 images of the large team are declared before the 25 of each small one. */
const images: FleetImage[] = Array.from({ length: 500 }, (_, at) => ({
  namespace: at < 275 ? largeTeam : (smallTeams[at % smallTeams.length] ?? ''),
  cloud: cloudOf(at % 20),
  host: `mirror-${at % 25}.example.com`,
}));

export const fleetOf = (limits: Partial<TransferLimits>, changes: Partial<Fleet> = {}): Fleet => ({
  images,
  imageBytes: 2048 * mib,
  nodes: 50,
  nodeBytesPerSecond: 128 * mib,
  startMs: 5000,
  limits: { ...defaultLimits, ...limits },
  ...changes,
});

/** In the order of the page. */
export const fleets = {
  'one process': fleetOf({}, { nodes: 1, startMs: 0 }),
  '5 at once': fleetOf({}),
  '10 at once': fleetOf({ total: 10, perNamespace: 8 }),
  '20 at once': fleetOf({ total: 20, perNamespace: 15 }),
  '50 at once': fleetOf({ total: 50, perNamespace: 40 }),
  '50 at once, 20 of a namespace': fleetOf({ total: 50, perNamespace: 20 }),
  '50 at once, nothing reserved': fleetOf({ total: 50, perNamespace: 50 }),
  '50 at once, 2 into a cloud': fleetOf({ total: 50, perNamespace: 50, perCloud: 2 }),
  '100 at once': fleetOf({ total: 100, perNamespace: 80 }),
  '100 at once, 8 into a cloud': fleetOf({ total: 100, perNamespace: 100, perCloud: 8, perHost: 8 }),
};

export const slowCloud = cloudOf(7);
/** All runs into it together. The slower one leaves each of four runs half of the rate at which a run gives way to others. */
export const fleetWithSlowCloud = (bytesPerSecond: number) =>
  fleetOf({ total: 50, perNamespace: 40 }, { cloudBytesPerSecond: { [slowCloud]: bytesPerSecond } });
export const slow = fleetWithSlowCloud(16 * mib);
export const verySlow = fleetWithSlowCloud(2 * mib);
