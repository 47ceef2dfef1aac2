/** The classes of devices that a page is built for. A page meets any GPU: what suits the one at hand is chosen when it loads. */
import { PORTABLE, type DeviceSpec } from '../../compiler/device.ts';
import type { Precision } from '../../compiler/pipeline.ts';

export interface WebVariant {
  readonly name: string;
  readonly device: DeviceSpec;
  readonly dtype: Precision;
}

/** What most GPUs' subgroups are, where they are of one size: NVIDIA's, Apple's and AMD's in its newer drivers. */
const LANES = 32;

const withFeatures = (name: string, features: readonly string[], lanes: number): DeviceSpec => ({
  ...PORTABLE,
  name,
  description: `WebGPU’s default limits, with ${features.join(' and ')}`,
  features,
  subgroups: features.includes('subgroups') ? { min: lanes, max: lanes } : null,
});

/**
 * The best one first; the last needs nothing that a browser may lack. Those that multiply f16 are built only where f16 was asked for:
 * precision is the user's word. Subgroups are of so many lanes.
 */
export function variantsOf(dtype: Precision, lanes = LANES): readonly WebVariant[] {
  const variant = (name: string, features: readonly string[], own: Precision): WebVariant => ({
    name,
    device: features.length ? withFeatures(`web-${name}`, features, lanes) : PORTABLE,
    dtype: own,
  });
  const halves = [variant('f16-sg', ['shader-f16', 'subgroups'], 'f16'), variant('f16', ['shader-f16'], 'f16')];
  return [...(dtype === 'f16' ? halves : []), variant('sg', ['subgroups'], 'f32'), variant('base', [], 'f32')];
}
