/** Dawn's null backend: checks kernels without a GPU. */
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import { openDevice } from '../../runtime/device.ts';
import { findAdapter } from '../../runtime/node/adapter.ts';
import { Program } from '../../runtime/program.ts';

export interface Validator {
  readonly spec: DeviceSpec;
  /** Why Dawn refuses an artefact; undefined where it does not. */
  problemOf(artefact: Artefact): Promise<string | undefined>;
}

let opened: Promise<Validator> | undefined;

export function openValidator(): Promise<Validator> {
  opened ??= open();
  return opened;
}

async function open(): Promise<Validator> {
  const found = await findAdapter({ prefer: 'null' });
  const { device } = await openDevice(found.adapter, found.spec);
  return {
    spec: found.spec,
    async problemOf(artefact) {
      try {
        (await Program.create(device, artefact)).close();
        return undefined;
      } catch (error) {
        return String(error);
      }
    },
  };
}
