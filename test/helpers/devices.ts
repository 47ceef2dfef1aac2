/** Devices that tests compile for. */
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';

/** Binds so many buffers. */
export const withBuffers = (count: number): DeviceSpec => ({
  ...PORTABLE,
  limits: { ...PORTABLE.limits, maxStorageBuffersPerShaderStage: count },
});

/** Computes products by subgroups of so many lanes, and rows too, as software devices do. */
export const bySubgroups = (lanes: number): DeviceSpec => ({
  ...PORTABLE,
  name: `subgroups of ${lanes}`,
  kind: 'software',
  features: ['subgroups'],
  subgroups: { min: lanes, max: lanes },
});

/** A GPU of WebGPU's least limits: what is for hardware alone is compiled for it. */
export const HARDWARE: DeviceSpec = { ...PORTABLE, name: 'GPU', kind: 'hardware' };

/** A GPU, as the compiler sees one: no software runs it. Its subgroups have 32 to 64 lanes, and kernels say how many they want. */
export const GPU: DeviceSpec = {
  ...PORTABLE,
  name: 'gpu',
  features: ['subgroup-size-control', 'subgroups'],
  subgroups: { min: 32, max: 64 },
};
