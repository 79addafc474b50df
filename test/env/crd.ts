/** The CustomResourceDefinition on the API server of a stack. */
import { crdYaml, customResourceDefinition } from '../../src/generate/crd.ts';
import type { Kubernetes } from './kubernetes.ts';
import { eventually } from './wait.ts';

/** Applies the CRD and waits until it is served. Test files begin at the same moment, and only one of them can create it. */
export async function installCrd(kubernetes: Kubernetes): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await kubernetes.apply(crdYaml());
      break;
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
  const crd = `crd/${customResourceDefinition().metadata.name}`;
  let missing = '';
  // Of a CRD without any condition yet, kubectl rejects the question instead of waiting.
  await eventually(
    async () => {
      const { code, stderr } = await kubernetes.kubectl(['wait', '--for=condition=Established', crd, '--timeout=60s']);
      missing = stderr;
      return code === 0;
    },
    () => missing,
  );
}
