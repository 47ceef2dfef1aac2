/**
 * Every kernel of every model, run in this process (helpers/run-kernel.ts): no access leaves its buffer, nothing is read that nobody has
 * written, barriers and subgroups stand where all come by, and what comes out is what the interpreter says. Small sizes that divide
 * nothing; the kernels of large ones are made by the same lowerings. As GPUs run them: machine-gpu.test.ts.
 */
import { describe, it } from 'vitest';
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import { bySubgroups } from '../helpers/devices.ts';
import { expectEntry, MODELS } from './machine.ts';

const DEVICES: readonly DeviceSpec[] = [PORTABLE, bySubgroups(8)];

describe.each(Object.entries(MODELS))('%s', (_, model) => {
  for (const device of DEVICES)
    it.each(Object.keys(model.entries))(`%s on ${device.name}`, (entry) => void expectEntry(model, entry, { device }));
});
