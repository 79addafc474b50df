/**
 * Why our image service differs from Cinder's, where it does. Law: each reason is one that somebody who uses Cinder's would
 * accept; what is merely different is a defect. They are the chapters of docs/reference/differences-from-cinder.md.
 */
export const reasons = {
  classes: {
    title: 'Every refusal has a class that says what it means',
    text:
      'Cinder translates what Glance refuses for some calls and some numbers; from the others an exception of the HTTP client ' +
      'below it comes through, and for 415, 429 and 504 not even with its number. Here every call is translated alike, and the ' +
      'error carries the HTTP status, the request id and the words of Glance.',
  },
  numbers: {
    title: 'The number of an error is the one that Glance answered',
    text:
      "The numbers of Cinder's exceptions belong to their classes: not to be allowed to touch an image is a 500. Here " +
      '`httpStatus` is what Glance answered, and absent where it answered nothing or was not asked.',
  },
  validity: {
    title: 'A value that no image can have is an InvalidRequest',
    text:
      "In Cinder the HTTP client's model of an image raises a TypeError for a value that does not fit the schema, and Glance's " +
      'own refusal has another class. Here it is one class either way: by Glance, in its words, where only the cloud can know; ' +
      'else before any call.',
  },
  readOnly: {
    title: 'What only Glance sets is refused by its name',
    text:
      'As in Cinder, an image that was shown can be given back as it is. What only Glance sets is refused when it is given ' +
      'otherwise: as an InvalidRequest that names all such keys, where Cinder passes on that something is forbidden.',
  },
  values: {
    title: 'A property can have any JSON value',
    text:
      'Glance keeps texts. Cinder raises a TypeError for everything else; here numbers and truth values are written as JSON ' +
      'writes them, lists and objects as JSON, and a property that is null is one that shall not be there.',
  },
  names: {
    title: 'The names of properties are only data',
    text:
      'Cinder hands properties to Python functions as arguments. So some names crash it, some are swallowed or become headers of ' +
      'the request, and some read back as methods of a Python object. Here a name means nothing but itself, and the few that ' +
      'Glance keeps to itself are refused by name.',
  },
  attributes: {
    title: 'An attribute is not set by a property of its name',
    text:
      'In Cinder a property called `name` overwrites the name of the image, whatever the caller gave as that. Here it is refused ' +
      'by name: whoever passes on the metadata of a volume must not rename the image by it.',
  },
  json: {
    title: 'Text that is no JSON stays text',
    text:
      'The properties `mappings` and `block_device_mapping` hold JSON by convention. Anybody who may write an image can write ' +
      'something else into them, and Cinder then fails to create, show, change and list it, after Glance has done what was asked. ' +
      'Here such a text is shown as it is.',
  },
  spelling: {
    title: 'The same JSON in another spelling is no change',
    text:
      'JSON is written without blanks here. A value is compared with what Glance has as JSON, not as text, so an image does not ' +
      'change when only blanks or the order of keys do.',
  },
  purge: {
    title: 'Purging is about the properties that are given',
    text:
      'In Cinder the default of `purge_props` makes a mere change of the name remove all properties, while `{properties: {}}` ' +
      'removes none and `{properties: None}` raises an AttributeError. Here absent properties are not touched; given ones are those ' +
      'that shall be there, none with `{}`; and `null` removes all.',
  },
  move: {
    title: 'Glance is asked only for what it can do',
    text:
      'When one property goes and another comes with the same value, the HTTP client that Cinder uses asks Glance to move it, ' +
      'which Glance refuses. Here a patch adds, replaces and removes.',
  },
  glancesNotes: {
    title: 'Purging leaves alone what is not ours to remove',
    text:
      'Glance notes the stores of an import in properties that nobody else may remove. Cinder tries to, and cannot purge an ' +
      'imported image. Here they stay.',
  },
  tags: {
    title: 'Tags can be cleared',
    text: 'Tags are a set like any other: given as none, there are none.',
  },
  creationWithData: {
    title: 'An image can be created together with its data',
    text:
      "Cinder's `create` takes data, and then fails: that part of it is from the first version of the Images API. Here the image " +
      'is created and filled, and deleted again if that fails.',
  },
  emptiness: {
    title: 'No bytes are no data',
    text:
      'Glance makes an active image out of no bytes at all, which nothing can be started from. Here that is refused, and the ' +
      'image stays queued.',
  },
  order: {
    title: 'Attributes are set before the data is sent',
    text:
      'Cinder uploads first. If Glance then refuses the attributes, the image is active all the same, under its old name and ' +
      'without the properties. Here a refusal comes before the first byte.',
  },
  replay: {
    title: 'Data is never sent twice',
    text:
      'When Glance gives up on an upload with 503, Cinder sends the rest of the same file again, which is nothing, and the image ' +
      'becomes active with no bytes. Here the call fails once something of the data was read, the image stays queued, and the ' +
      'caller can begin again.',
  },
  onlyOnce: {
    title: 'An image is created once, even if the answer is lost',
    text:
      'Cinder sends the request again and leaves a second image. Here the id is chosen before, so that Glance refuses the second ' +
      'request, and the image of the first is the answer.',
  },
  retries: {
    title: 'Every call is tried again',
    text:
      'Lists are fetched by Cinder when they are read, after the code that would have tried again, gone to another server or ' +
      'translated the error. Here they are calls like any other.',
  },
  token: {
    title: 'A token that is refused is renewed once',
    text: 'Cinder has only the token of the request that it serves. Here the session signs in again and repeats the call.',
  },
  downloads: {
    title: 'A download that fails has one class for each cause',
    text:
      'An image without data, data that breaks off and data that is not what was stored are accidents of Python in Cinder. Here ' +
      'they are ImageDownloadFailed, the same, and ImageCorrupted, which comes before the last bytes do.',
  },
  ids: {
    title: 'The id of an image is a UUID',
    text:
      'Cinder puts the id into the path of the request as it is, so that an id with slashes reaches other things than images: a ' +
      'schema is shown as an image, and a deletion takes a tag. Here anything but a UUID is refused before any call.',
  },
  references: {
    title: 'A reference is used whole or refused',
    text:
      'Of a reference Cinder uses the host and what follows the last slash. What lies between is dropped, which asks another ' +
      'server when several share an address. Here the path is kept, and what is no reference is an InvalidImageRef.',
  },
  stores: {
    title: 'Stores are typed, and one that does not exist is named',
    text:
      'Cinder hands on what Glance says of its stores, in which truth is the text "true" and its opposite is absent. A store ' +
      'that the cloud does not have is StoreNotFound, which tells those that it has.',
  },
  perCall: {
    title: 'A store is chosen for one call',
    text:
      'In Cinder a service that was made from a reference sends the store of one upload along with all later calls, so that the ' +
      'data of other images lands there too.',
  },
  locations: {
    title: 'A location can be added by whoever either API allows to',
    text:
      'Where the new API of locations is only for services, Cinder gives up. Here the earlier API is asked then, as Cinder ' +
      'itself does for reading them, and its answer counts.',
  },
  owners: {
    title: 'Whoever asks without a token owns what the properties say',
    text:
      'On a cloud that asks nobody who it is, properties tell whose an image is. Cinder looks for them where no image of the ' +
      'Images API v2 has any, so that owners do not find their own. Here they are read where they are.',
  },
  noImages: {
    title: 'A limit of nothing is nothing',
    text: 'Cinder takes a limit of 0 for none.',
  },
} satisfies Readonly<Record<string, { title: string; text: string }>>;

export type Reason = keyof typeof reasons;
