/**
 * The declaration while `revisions.pin` names other data than `content` does: that of the revision with the pinned digest.
 *
 * Invariant: pure. Nothing is downloaded because of a pin, because nothing says where other data than that of `content` is.
 */
import type { Image } from '../../glance/image.ts';
import { type Content, pinHolds } from '../model/content.ts';
import type { Desired } from '../model/desired.ts';
import { declarationOn, type FingerprintParts, fingerprintOn, partsIn } from '../model/fingerprint.ts';
import { type Memory, verifiedAs } from '../model/memory.ts';
import { type Revision, type Stage, stageOf } from '../model/revisions.ts';
import type { State } from '../model/step.ts';
import { hashOf } from '../model/verify.ts';

/** The declaration as the pin changes it. It stays as it is where there is no pin, or `content` has the same digest. */
export function obeyPin(desired: Desired, { observed, memory }: State, now: Date): Desired {
  const { pin, content } = desired;
  if (pin === undefined || content === undefined || !pinHolds(pin, content)) return desired;
  const holders = observed.revisions.flatMap((revision) => {
    const held = heldBy(revision, desired, content, pin, memory);
    if (held === undefined) return [];
    const rank = rankOf(stageOf(revision.image, held, memory, now));
    return rank === undefined ? [] : [{ held, rank: revision.image.id === memory.promoted ? rank - 0.5 : rank }];
  });
  const [best] = holders.toReversed().sort((one, other) => one.rank - other.rank);
  return best?.held ?? { ...desired, hold: { kind: 'missing' } };
}

/** The declaration of an image that has the pinned digest. */
function heldBy(
  { image, ownership }: Revision,
  desired: Desired,
  content: Content,
  pin: string,
  memory: Memory,
): Desired | undefined {
  const made = fingerprintOn(image);
  const binding = verifiedAs(memory, image.id)?.fingerprint ?? made;
  const hasData = image.status === 'active' || image.status === 'deactivated';
  if (binding === undefined || !hasData || ownership.kind === 'foreign') return undefined;
  const parts = partsIn(binding);
  if (hashOf(image) !== pin && parts?.digest !== pin) return undefined;
  const data = parts?.digest === pin ? parts : asInGlance(pin, image, content);
  const hold = { kind: 'found' as const, imageID: image.id };
  const held = { ...content, ...data, fingerprint: binding };
  return { ...desired, content: held, fingerprint: made ?? binding, declaration: declarationOn(image), binding, hold };
}

/** Undefined if the image cannot be used. */
function rankOf({ kind }: Stage): number | undefined {
  switch (kind) {
    case 'right':
      return 0;
    case 'unread':
    case 'uninspected':
      return 1;
    case 'deactivated':
      return 2;
    case 'empty':
    case 'moving':
    case 'importFailed':
    case 'useless':
      return undefined;
  }
}

/** Data that is compared with the hash of Glance. */
function asInGlance(digest: string, image: Image, { diskFormat, containerFormat }: Content): FingerprintParts {
  return {
    digest,
    digestOf: 'Image',
    decompress: 'None',
    diskFormat: image.diskFormat ?? diskFormat,
    containerFormat: image.containerFormat ?? containerFormat,
    member: undefined,
    convert: undefined,
  };
}
