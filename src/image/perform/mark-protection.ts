/**
 * What a cloud whose property protections concern our marks is missing: the administrator of the cloud has to name them in a rule. A
 * property that Glance reserves is known by the message of its rejection.
 */
import { NotAuthorized } from '../../glance/errors.ts';
import type { Image } from '../../glance/image.ts';
import { OperatorError, responseFieldsOf } from '../../lib/errors.ts';
import { markProperties } from '../model/identity.ts';

type Right = 'create' | 'read' | 'update';

/**
 * The property that Glance names in a 403, as property protections cause it: ReservedProperty in glance/common/exception.py, raised by
 * glance/api/property_protections.py.
 */
export function reservedKey(error: unknown): string | undefined {
  if (!(error instanceof NotAuthorized) || error.httpStatus !== 403) return undefined;
  return /Attribute '([^']{1,255})' is reserved/.exec(error.message)?.[1];
}

/** The failure that says which right on which mark is missing. */
export function markProtected(key: string, right: Right, cause?: unknown): OperatorError {
  return new OperatorError(
    `this cloud does not let the operator ${right} the property ${key}, its mark on each image: the administrator of the cloud has to ` +
      'add a rule for properties whose names begin with glance_image_operator_ to the property protections of Glance, with create, ' +
      'read, update and delete for the role of these credentials',
    {
      code: 'PropertyProtected',
      cause,
      ...(cause instanceof OperatorError ? responseFieldsOf(cause) : {}),
    },
  );
}

/** The cloud accepted a mark and does not show it to us. */
export function hiddenMark(image: Image, sent: Readonly<Record<string, unknown>>): string | undefined {
  return markProperties.find((key) => Object.hasOwn(sent, key) && image.properties[key] === undefined);
}

/** The rejection of one of our marks, in a sentence that says what the cloud has to allow. */
export function asProtected(error: unknown, right: Right): unknown {
  const key = reservedKey(error);
  return key !== undefined && markProperties.includes(key) ? markProtected(key, right, error) : error;
}
