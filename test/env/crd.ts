/** The CustomResourceDefinition on the API server of a stack. */
import { crdYaml, customResourceDefinition } from '../../src/generate/crd.ts';
import type { Kubernetes } from './kubernetes.ts';

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
  const { code, stderr } = await kubernetes.kubectl(['wait', '--for=condition=Established', crd, '--timeout=60s']);
  if (code !== 0) throw new Error(stderr);
}
