/**
 * Property protections of a cloud (`property_protection_file`), as they keep the operator from its marks.
 *
 * Glance names the property as "reserved" in a 403: ReservedProperty in glance/common/exception.py, raised by
 * glance/api/property_protections.py.
 */
import { NotAuthorized } from '../glance/errors.ts';
import { OperatorError, retry } from '../lib/errors.ts';
import { responseFieldsOf } from '../openstack/errors.ts';

export type Right = 'create' | 'read' | 'update' | 'delete';

/** The property that Glance names in its refusal. */
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
      retry: retry.changeOrAfter(600_000),
      cause,
      ...(cause instanceof OperatorError ? responseFieldsOf(cause) : {}),
    },
  );
}
