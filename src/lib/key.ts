/** The name of a namespaced resource as one string, `namespace/name`. It is all that a queue carries. */
export type Key = string;

export function keyOf(namespace: string, name: string): Key {
  return `${namespace}/${name}`;
}

/** The two parts of a key. */
export function partsOf(key: Key): { namespace: string; name: string } {
  const [namespace = '', name = ''] = key.split('/');
  return { namespace, name };
}

export function namespaceOf(key: Key): string {
  return partsOf(key).namespace;
}
