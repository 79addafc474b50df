/**
 * A control plane of its own for what changes the definition of GlanceImage, on which every other test of a stack depends. Law: it
 * is gone when `stop` resolves.
 */
import { startControlPlane } from '../env/control-plane.ts';
import { type Kubernetes, kubernetesOf } from '../env/kubernetes.ts';
import { claimPorts } from '../env/ports.ts';
import { createProcesses } from '../env/processes.ts';

export interface Cluster {
  kubernetes: Kubernetes;
  /** A directory that is gone with the cluster. */
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
