/**
 * The errors of Glance, one class per meaning.
 *
 * Invariant: an error of one kind has the same class in every call, its message quotes Glance with status and request
 * id.
 */
import type { ErrorCode } from '../lib/error-codes.ts';
import { describe, OperatorError, type OperatorErrorOptions, responseFieldsOf } from '../lib/errors.ts';
import { ConnectionFailed, HttpFailure, MalformedResponse, quoted, RejectedByService } from '../openstack/errors.ts';
import type { OperationOf } from '../openstack/services.ts';

type Details = Omit<OperatorErrorOptions, 'code'>;

/** 401 or 403: the credentials or the state of the image do not allow it. */
export class NotAuthorized extends OperatorError {
  /** `code`: why the credentials of a 401 were rejected. */
  constructor(message: string, details: Details, code: ErrorCode = 'TokenRejected') {
    super(message, { code: details.httpStatus === 401 ? code : 'Forbidden', ...details });
  }
}

/** NotAuthorized, about one image. */
export class ImageNotAuthorized extends NotAuthorized {}

/** 404: it does not exist, or the project cannot see it. */
export class NotFound extends OperatorError {
  constructor(message: string, details: Details) {
    super(message, { code: 'NotFound', ...details });
  }
}

/** NotFound, about one image. */
export class ImageNotFound extends NotFound {}

/** 400 and its like: the request is impossible. Also for requests that we reject ourselves. */
export class InvalidRequest extends OperatorError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'InvalidRequest', ...details });
  }
}

/** 413: a quota, a limit or the store is used up. */
export class ImageLimitExceeded extends OperatorError {
  constructor(message: string, details: Details) {
    super(message, { code: 'QuotaExceeded', ...details });
  }
}

/** 411 or 413 of a proxy in front of Glance, which does not pass the request on. */
export class ProxyRefused extends OperatorError {
  constructor(message: string, details: Details) {
    super(message, { code: 'ProxyRefused', ...details });
  }
}

/** 409: the image is in another state, or another client was faster. */
export class Conflict extends OperatorError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'Conflict', ...details });
  }
}

/** 410: the image was deleted while it was being filled. */
export class ImageGone extends OperatorError {
  constructor(message: string, details: Details) {
    super(message, { code: 'ImageGone', ...details });
  }
}

/** 415 for data: it is not in the disk format of the image, or is unsafe. The image cannot be filled again. */
export class FormatMismatch extends OperatorError {
  constructor(message: string, details: Details) {
    super(message, { code: 'FormatMismatch', ...details });
  }
}

/** The cloud has no store of that name. */
export class StoreNotFound extends OperatorError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'StoreNotFound', ...details });
  }
}

/** The store, named or the default one, accepts no data. */
export class StoreReadOnly extends OperatorError {
  constructor(message: string, details: Details = {}) {
    super(message, { code: 'StoreReadOnly', ...details });
  }
}

/** 429, 5xx except 503, and responses that a working Glance does not send. */
export class GlanceUnavailable extends OperatorError {
  constructor(message: string, details: Details) {
    super(message, { code: 'GlanceUnavailable', ...details });
  }
}

/**
 * Every attempt ended without a response (`GlanceUnreachable`) or with 503 (`GlanceUnavailable`). After the former it
 * is unknown whether Glance has processed the request.
 */
export class GlanceConnectionFailed extends OperatorError {
  constructor(message: string, code: 'GlanceUnreachable' | 'GlanceUnavailable', details: Details) {
    super(message, { code, ...details });
  }
}

/** The image has no data, its data ended early, or the data could not be written to its destination. */
export class ImageDownloadFailed extends OperatorError {
  constructor(imageId: string, problem: string, cause?: unknown) {
    super(`cannot download image ${imageId}: ${problem}`, {
      code: 'ImageDownloadFailed',
      cause,
      ...responseFieldsOf(cause),
    });
  }
}

/** The bytes are not those that Glance has recorded for the image. */
export class ImageCorrupted extends OperatorError {
  constructor(message: string) {
    super(message, { code: 'ImageCorrupted' });
  }
}

/** Neither the id of an image nor the address of one. */
export class InvalidImageRef extends OperatorError {
  constructor(message: string, cause?: unknown) {
    super(message, { code: 'InvalidSpec', cause });
  }
}

export type Operation = OperationOf<'image'>;

/** The operation as a part of the message: "Glance returned 413 for the upload". */
const phrases: Readonly<Record<Operation, string>> = {
  read: 'the request for the image',
  list: 'the request for a list of images',
  schema: "the request for the images' schema",
  create: 'the creation of the image',
  update: 'the change of the image',
  delete: 'the deletion of the image',
  upload: 'the upload',
  stage: 'the staging of the data',
  download: 'the download',
  import: 'the import of the image',
  importMethods: 'the request for the import methods',
  tasks: "the request for the image's tasks",
  members: "the request for the image's members",
  addMember: 'the addition of a member to the image',
  removeMember: 'the removal of a member from the image',
  setMember: "the change of a member's status",
  stores: 'the request for the stores',
  removeFromStore: 'the removal of the image from a store',
  locations: "the request for the image's locations",
  addLocation: 'the addition of a location to the image',
  tag: "the change of the image's tags",
  deactivate: 'the deactivation of the image',
  reactivate: 'the reactivation of the image',
  usage: 'the request for the usage of the quotas',
  versions: 'the request for the versions of its API',
};

/**
 * The failure of a call in Glance's terms; errors that are not Glance's (Keystone, the source, an abort) are returned
 * unchanged.
 */
export function translate(error: unknown, operation: Operation, imageId?: string): unknown {
  const phrase = phrases[operation];
  if (error instanceof ConnectionFailed) {
    const message = `Glance at ${error.origin} did not respond to ${phrase}: ${describe(error.cause)}`;
    return new GlanceConnectionFailed(message, 'GlanceUnreachable', { cause: error });
  }
  if (error instanceof MalformedResponse) {
    return new GlanceUnavailable(`Glance's response to ${phrase} is malformed: ${error.message}`, {
      cause: error,
      ...responseFieldsOf(error),
    });
  }
  if (error instanceof RejectedByService) {
    const Rejection = imageId === undefined ? NotAuthorized : ImageNotAuthorized;
    return new Rejection(error.message, { cause: error, ...responseFieldsOf(error) }, error.code);
  }
  return error instanceof HttpFailure ? rejection(error, operation, imageId) : error;
}

const chunkedRefused =
  'it accepts no request in chunks, which is how data is sent whose length is not known, such as that of a compressed file: ' +
  'have its administrator allow such requests (http-chunked-input of uWSGI, SetEnv proxy-sendchunked of Apache), or publish the file uncompressed';
const sizeRefused =
  'it limits the size of a request: have its administrator raise the limit (client_max_body_size of nginx)';

function rejection(failure: HttpFailure, operation: Operation, imageId: string | undefined): OperatorError {
  const { status, serverMessage, requestId } = failure;
  const response = `returned ${status} for ${phrases[operation]}${quoted(serverMessage, requestId)}`;
  const message = `Glance ${response}`;
  const details = { cause: failure, ...responseFieldsOf(failure) };
  const aboutImage = imageId !== undefined;
  switch (status) {
    case 401:
    case 403:
      return aboutImage ? new ImageNotAuthorized(message, details) : new NotAuthorized(message, details);
    case 404:
      return aboutImage ? new ImageNotFound(message, details) : new NotFound(message, details);
    case 408:
    case 429:
      return new GlanceUnavailable(message, details);
    case 409:
      return new Conflict(message, details);
    case 410:
      // Glance also returns 410 if a store accepts no data.
      return /store/i.test(serverMessage) && /disabled|configuration/i.test(serverMessage)
        ? new StoreReadOnly(message, details)
        : new ImageGone(message, details);
    case 411:
      return new ProxyRefused(`a proxy in front of Glance ${response}; ${chunkedRefused}`, details);
    case 413:
      // Glance gives each of its responses a request id.
      if (requestId === undefined && failure.isPage)
        return new ProxyRefused(`a proxy in front of Glance ${response}; ${sizeRefused}`, details);
      return new ImageLimitExceeded(message, details);
    case 415:
      return operation === 'upload' ? new FormatMismatch(message, details) : new InvalidRequest(message, details);
    case 503: {
      const at = `Glance at ${URL.parse(failure.url)?.origin ?? failure.url} ${response}`;
      return new GlanceConnectionFailed(at, 'GlanceUnavailable', details);
    }
    default:
      return status >= 400 && status < 500
        ? new InvalidRequest(message, details)
        : new GlanceUnavailable(message, details);
  }
}
