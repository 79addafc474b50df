/**
 * Why our image service differs from Cinder's, where it does. They are the chapters of
 * docs/reference/differences-from-cinder.md.
 *
 * Invariant: a user of Cinder's service would accept each reason. A difference without such a reason is a defect.
 */
export const reasons = {
  classes: {
    title: 'Every error has a class that states its meaning',
    text:
      'Cinder translates the errors of Glance for some calls and some status codes. For the others an exception of the ' +
      'underlying HTTP client comes through, and for 415, 429 and 504 even without its status code. Here every call is ' +
      'translated alike, and the error carries the HTTP status, the request ID and the message of Glance.',
  },
  numbers: {
    title: 'The status code of an error is the one that Glance returned',
    text:
      "The codes of Cinder's exceptions belong to their classes: an image that the user may not access is a 500. Here " +
      '`httpStatus` is the code that Glance returned. It is absent if Glance did not respond or was not called.',
  },
  validity: {
    title: 'A value that no image can have is an InvalidRequest',
    text:
      "In Cinder, the HTTP client's model of an image raises a TypeError for a value that does not fit the schema, and " +
      'an error from Glance has another class. Here both are one class: raised before any call where possible, and by ' +
      'Glance, with its message, where only the cloud can know.',
  },
  readOnly: {
    title: 'Attributes that only Glance sets are rejected by name',
    text:
      'As in Cinder, an image that was shown can be given back unchanged. A changed value for an attribute that only ' +
      'Glance sets is an InvalidRequest that names all such keys; Cinder passes on that something is forbidden.',
  },
  values: {
    title: 'A property can have any JSON value',
    text:
      'Glance stores texts. Cinder raises a TypeError for everything else. Here numbers, booleans, lists and objects ' +
      'are written as JSON, and a property that is null is absent.',
  },
  names: {
    title: 'The names of properties are only data',
    text:
      'Cinder hands properties to Python functions as arguments. So some names crash it, some are lost or become ' +
      'headers of the request, and some read back as methods of a Python object. Here a name has no other meaning. The names ' +
      'that Glance reserves or uses internally are rejected: Glance would change another image (`image_id`) or lose the change. ' +
      'Where an image has such a property, a purge keeps it, because Glance cannot remove it.',
  },
  attributes: {
    title: 'An attribute is not set by a property of its name',
    text:
      'In Cinder a property called `name` overwrites the name of the image, even if the caller gave another one. Here ' +
      'it is rejected by name: passing on the metadata of a volume must not rename the image.',
  },
  json: {
    title: 'Text that is not JSON stays text',
    text:
      'The properties `mappings` and `block_device_mapping` contain JSON by convention. Every user who may write an ' +
      'image can write other text into them. Cinder then fails to create, show, change and list the image, after Glance ' +
      'has carried out the request. Here such a text is shown unchanged. So are null, which would mean that the property is ' +
      'absent, and JSON with a number that JavaScript cannot hold exactly, so that giving an image back changes neither.',
  },
  spelling: {
    title: 'The same JSON in another spelling is no change',
    text:
      'JSON is written without blanks here. A value is compared with the one in Glance as JSON, not as text, so an ' +
      'image does not change when only blanks or the order of keys do.',
  },
  purge: {
    title: 'Purging is about the properties that are given',
    text:
      'In Cinder the default of `purge_props` makes a mere change of the name remove all properties, while ' +
      '`{properties: {}}` removes none and `{properties: None}` raises an AttributeError. Here absent properties are ' +
      'not touched; given properties replace all others, so `{}` removes them; and `null` removes all.',
  },
  move: {
    title: 'Glance gets only requests that it supports',
    text:
      'When one property is removed and another is added with the same value, the HTTP client that Cinder uses sends a ' +
      'move operation, which Glance rejects. Here a patch adds, replaces and removes.',
  },
  glancesNotes: {
    title: 'Purging keeps the properties that Glance reserves',
    text:
      'Glance records the stores of an import in properties that only Glance may remove. Cinder tries to remove them, ' +
      'and cannot purge an imported image. Here they stay.',
  },
  tags: {
    title: 'Tags can be cleared',
    text: 'Tags are a set like any other: an empty list removes all.',
  },
  creationWithData: {
    title: 'An image can be created together with its data',
    text:
      "Cinder's `create` takes data, and then fails: that part of it is from the first version of the Images API. Here " +
      'the image is created and filled, and deleted again if that fails.',
  },
  emptiness: {
    title: 'Empty data is not accepted',
    text:
      'Glance makes an image active with no bytes at all, which cannot be booted. Here empty data is rejected, and the ' +
      'image stays queued.',
  },
  order: {
    title: 'Attributes are set before the data is sent',
    text:
      'Cinder uploads first. If Glance then rejects the attributes, the image is active all the same, with its old name ' +
      'and without the properties. Here the rejection comes before the first byte.',
  },
  replay: {
    title: 'Data is never sent twice',
    text:
      'When Glance ends an upload with 503, Cinder sends the rest of the same file again, which is empty, and the image ' +
      'becomes active with no bytes. Here the call fails once any of the data was read, the image stays queued, and the ' +
      'caller can start again.',
  },
  onlyOnce: {
    title: 'An image is created once, even if the response is lost',
    text:
      'Cinder sends the request again and leaves a second image. Here the ID is chosen before, so Glance rejects the ' +
      'second request, and the image of the first one is returned.',
  },
  retries: {
    title: 'Every call is retried',
    text:
      'Cinder fetches lists when they are read, outside the code that retries, switches to another server and ' +
      'translates errors. Here they are calls like any other.',
  },
  token: {
    title: 'A rejected token is renewed once',
    text: 'Cinder has only the token of the request that it serves. Here the session signs in again and repeats the call.',
  },
  downloads: {
    title: 'A download that fails has one class for each cause',
    text:
      'In Cinder, an image without data, data that breaks off and corrupted data raise accidental Python exceptions. ' +
      'Here the first two are ImageDownloadFailed, and the third is ImageCorrupted, which is raised before the last ' +
      'bytes are returned.',
  },
  digests: {
    title: 'A digest of an unknown algorithm does not prevent a download',
    text:
      'Glance names the algorithm of its digest, and a cloud may choose one that the program does not have. Cinder then fails. ' +
      'Here the MD5 checksum, which Glance also keeps, is compared instead.',
  },
  addresses: {
    title: 'The address of a server may end in its version',
    text:
      'If the configured address of Glance ends in `/v2`, Cinder appends the version a second time and finds no image. Here the ' +
      'version is recognised, with and without a slash after it.',
  },
  ids: {
    title: 'The ID of an image is a UUID',
    text:
      'Cinder puts the ID into the path of the request unchanged, so that an ID with slashes reaches other resources ' +
      'than images: a schema is shown as an image, and a deletion removes a tag. Here anything but a UUID is rejected ' +
      'before any call.',
  },
  references: {
    title: 'A reference is used completely or rejected',
    text:
      'Of a reference, Cinder uses the host and the text after the last slash. It drops the path between them, and so ' +
      'calls another server when several share an address. Here the path is kept, and an invalid reference is an ' +
      'InvalidImageRef. Cinder sends its token to any server that a reference names. Here the token goes only to ' +
      'endpoints of its own cloud and to those that the program lists as trusted.',
  },
  stores: {
    title: 'Stores are typed, and one that does not exist is named',
    text:
      'Cinder passes on Glance\'s description of its stores, in which true is the text "true" and false is absent. A ' +
      'store that the cloud does not have is StoreNotFound, with the names of the existing stores. On a cloud without named ' +
      'stores there is no list, which is no error.',
  },
  perCall: {
    title: 'A store is chosen for one call',
    text:
      'In Cinder a service that was made from a reference sends the store of one upload along with all later calls, so ' +
      'that the data of other images lands there too.',
  },
  locations: {
    title: 'A location can be added if either API allows it',
    text:
      'Where the new locations API is restricted to services, Cinder fails. Here the earlier API is called then, as ' +
      'Cinder itself does for reading locations, and its result counts.',
  },
  owners: {
    title: 'Without a token, properties decide the owner',
    text:
      'On a cloud without authentication, properties state the owner of an image. Cinder looks for them in a place ' +
      'where no image of the Images API v2 has them, so that owners do not find their own images. Here they are read ' +
      'from the right place.',
  },
  filters: {
    title: 'The value of a filter is no expression',
    text:
      'Cinder passes filters to Glance unchanged, so that a name that begins with `in:` or `gt:` is a comparison. Here a value is ' +
      'only a value. There are filters of their own for several names (`names`) and for times (`createdSince`, `createdBefore`).',
  },
  redirects: {
    title: 'A redirect does not change what is sent',
    text:
      'Cinder follows every redirect. Here a read follows those within the same origin, and a change follows only 307 and 308, which ' +
      'keep its method and its body. Data is never sent to a second address.',
  },
  malformed: {
    title: 'A response that no working Glance sends is GlanceUnavailable',
    text:
      'In Cinder such a response raises an accidental Python exception, or is taken for a success. Here it is an error that names ' +
      'what is wrong with it.',
  },
  noImages: {
    title: 'A limit of 0 returns no image',
    text: 'Cinder takes a limit of 0 for no limit.',
  },
} satisfies Readonly<Record<string, { title: string; text: string }>>;

export type Reason = keyof typeof reasons;
