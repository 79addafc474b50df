/**
 * A separate control plane for tests that change the CRD of GlanceImage, on which all other tests of a stack depend. Invariant: all
 * its processes have ended when `stop` resolves.
 */
import { startControlPlane } from '../env/control-plane.ts';
import { type Kubernetes, kubernetesOf } from '../env/kubernetes.ts';
import { claimPorts } from '../env/ports.ts';
import { createProcesses } from '../env/processes.ts';

export interface Cluster {
  kubernetes: Kubernetes;
  /** A temporary directory that is deleted with the cluster. */
  directory: string;
  stop(): Promise<void>;
}

export async function startCluster(): Promise<Cluster> {
  const block = await claimPorts();
  const processes = createProcesses();
  const stop = async () => {
    await processes.stop();
    await block.release();
  };
  try {
    const [etcd = 0, etcdPeer = 0, api = 0] = block.ports;
    const plane = await startControlPlane(processes, [etcd, etcdPeer, api]);
    const { directory } = processes;
    return { kubernetes: kubernetesOf(directory, plane), directory, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
