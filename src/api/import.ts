/**
 * `spec.import`: an image that exists already, and who manages it. Invariant: Observe has no field that would have to be written to
 * Glance; with Manage, the declaration names one image by its ID, and says what becomes of it at the end.
 */
import * as z from 'zod';
import { baseKeys, listParameters } from '../glance/property-names.ts';
import { maxTags, maxText, visibilities } from './fields.ts';
import { matching, rule, set, text, textMap } from './rules.ts';

const uuidPattern = '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$';

/** Of one filter. Each becomes a parameter of the same request. */
const mostFilteredProperties = 16;
/** A list of Glance cannot be filtered by properties of these names. */
export const unfilterable: readonly string[] = [...baseKeys, ...listParameters].sort();

const filter = rule(
  z.object({
    name: text(1, maxText).optional().meta({ description: 'Exact name of the image.' }),
    tags: set(text(1, maxText), maxTags)
      .optional()
      .meta({ description: 'Tags that the image has, and it may have others.' }),
    properties: textMap(mostFilteredProperties, maxText, {
      absent: unfilterable,
      message: `must not hold an attribute of images or a parameter of lists (${unfilterable.join(', ')}): use the other fields of the filter, or import.id`,
    })
      .optional()
      .meta({ description: 'Custom properties that the image has, with exactly these values as text.' }),
    visibility: z.enum(visibilities).optional().meta({
      description:
        'Visibility of the image. public, without owner: images of every project count. The others, without owner: only images of the own project.',
    }),
    owner: text(1, maxText).optional().meta({
      description:
        'ID of the project that owns the image. Default: the project of the credentials, so that an image of another project with the same name is never taken; with visibility public, any project.',
    }),
  }),
  {
    cel:
      'has(self.name) || has(self.visibility) || has(self.owner) || (has(self.tags) && size(self.tags) > 0) || ' +
      '(has(self.properties) && size(self.properties) > 0)',
    test: ({ name, visibility, owner, tags = [], properties = {} }) =>
      [name, visibility, owner].some((value) => value !== undefined) ||
      tags.length > 0 ||
      Object.keys(properties).length > 0,
    message: 'import.filter needs at least one of name, tags, properties, visibility and owner',
  },
).meta({
  description:
    'What the image is recognised by: everything that is declared must be true of it. Hidden images count only if no other image matches.',
});

export const imported = rule(
  rule(
    z.object({
      id: matching(
        text(36, 36),
        uuidPattern,
        'must be the ID of an image: a UUID in lower case, as `openstack image show NAME -c id` prints it',
      )
        .optional()
        .meta({ description: 'ID of the image.' }),
      filter: filter.optional(),
      select: z.enum(['Only', 'Newest']).optional().meta({
        description:
          'If several images match the filter. Only: that is an error, which names them. Newest: the active image that was created last, and of the same second the one with the greatest ID. Default: Only.',
      }),
    }),
    {
      cel: 'has(self.id) != has(self.filter)',
      test: ({ id, filter: by }) => (id === undefined) !== (by === undefined),
      message: 'import needs exactly one of id and filter',
    },
  ),
  {
    cel: '!has(self.select) || has(self.filter)',
    test: ({ select, filter: by }) => select === undefined || by !== undefined,
    message: 'import.select chooses among the images that match import.filter: leave it out with import.id',
    fieldPath: '.select',
  },
).meta({
  description:
    'An image that exists already. With managementPolicy Observe it is only shown in the status; with Manage it is taken over as it is. Default: none.',
});

export type ImportSpec = z.output<typeof imported>;
export type ImportFilter = z.output<typeof filter>;

export const managementPolicy = z
  .enum(['Manage', 'Observe'])
  .optional()
  .meta({
    description:
      'Manage: the operator makes the image as declared. With import.id it takes over an image that exists: undeclared fields are left alone, and propertyPolicy is Merge unless declared. ' +
      'Observe: the operator shows the image of import in the status and never writes to Glance. Observe can change to Manage. Default: Manage.',
  });

/** What the rules below read of a declaration. */
interface Declaration {
  managementPolicy?: 'Manage' | 'Observe' | undefined;
  import?: ImportSpec | undefined;
  deletionPolicy?: string | undefined;
  image: object;
}

/** In CEL. `at` is a spec. */
export const observesInCel = (at: string) => `(has(${at}.managementPolicy) && ${at}.managementPolicy == 'Observe')`;

const isObserved = ({ managementPolicy: policy }: Declaration) => policy === 'Observe';
const isAdopted = (spec: Declaration) => spec.import !== undefined && !isObserved(spec);
const adopts = `has(self.__import__) && !${observesInCel('self')}`;

/** The fields of a spec that Observe admits. */
const admitted = ['cloud', 'import', 'interval', 'suspend', 'publish'];
/** They have rules of their own, or are checked field by field. */
const apart = ['managementPolicy', 'deletionPolicy', 'image'];

/** `fields` and `ofImage`: names of the fields of a spec, and of its `image`. */
export function importRules(fields: readonly string[], ofImage: readonly string[]) {
  const names = admitted.filter((key) => fields.includes(key));
  const refused = fields.filter((key) => ![...admitted, ...apart].includes(key));
  const paths = [...refused.map((key) => `self.${key}`), ...ofImage.map((key) => `self.image.${key}`)];
  const isAbsent = (value: object) => (key: string) => Reflect.get(value, key) === undefined;
  return [
    {
      cel: `!${observesInCel('self')} || has(self.__import__)`,
      test: (spec: Declaration) => !isObserved(spec) || spec.import !== undefined,
      message: 'managementPolicy Observe needs import: name the image to observe by import.id or import.filter',
      fieldPath: '.managementPolicy',
    },
    {
      cel: `!${observesInCel('self')} || !(${paths.map((path) => `has(${path})`).join(' || ')})`,
      test: (spec: Declaration) =>
        !isObserved(spec) || (refused.every(isAbsent(spec)) && ofImage.every(isAbsent(spec.image))),
      message: `managementPolicy Observe writes nothing, and admits only ${names.slice(0, -1).join(', ')} and ${names.at(-1)}: leave out the other fields, or declare managementPolicy: Manage`,
      fieldPath: '.managementPolicy',
    },
    {
      cel: `!${observesInCel('self')} || !has(self.deletionPolicy)`,
      test: (spec: Declaration) => !isObserved(spec) || spec.deletionPolicy === undefined,
      message: 'managementPolicy Observe never deletes the image: leave deletionPolicy out',
      fieldPath: '.deletionPolicy',
    },
    {
      cel: `!(${adopts}) || has(self.__import__.id)`,
      test: (spec: Declaration) => !isAdopted(spec) || spec.import?.id !== undefined,
      message:
        'managementPolicy Manage takes over one image, and needs its import.id; or declare managementPolicy: Observe',
      fieldPath: '.managementPolicy',
    },
    {
      cel: `!(${adopts}) || has(self.deletionPolicy)`,
      test: (spec: Declaration) => !isAdopted(spec) || spec.deletionPolicy !== undefined,
      message:
        'deletionPolicy is required with import: Retain keeps the image in Glance when this resource is deleted, Delete deletes it; or declare managementPolicy: Observe',
      fieldPath: '.deletionPolicy',
    },
  ];
}

/** Rules about changes, at the resource. */
export const importTransitions = [
  {
    rule: 'has(self.spec.__import__) == has(oldSelf.spec.__import__)',
    message:
      'import cannot be added or taken away, because it says whether the image is one that existed before: create another GlanceImage instead',
    fieldPath: '.spec.import',
  },
  {
    rule: `${observesInCel('oldSelf.spec')} || !${observesInCel('self.spec')}`,
    message:
      'managementPolicy cannot change from Manage to Observe, because the image is marked as managed: set deletionPolicy to Retain, delete this GlanceImage, and create another one with managementPolicy: Observe',
    fieldPath: '.spec.managementPolicy',
  },
  {
    rule: `${observesInCel('oldSelf.spec')} || !has(self.spec.__import__) || !has(oldSelf.spec.__import__) || self.spec.__import__ == oldSelf.spec.__import__`,
    message:
      'import cannot change with managementPolicy Manage, because the image is taken over: create another GlanceImage for another image',
    fieldPath: '.spec.import',
  },
];
