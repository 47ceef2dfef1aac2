/** What is timed on a GPU, by ditc and by PyTorch (torch_twin.py knows the same names). */
import type { EntryInput } from '../../compiler/emit/build.ts';
import { compileModel } from '../../compiler/compile.ts';
import type { Model } from '../../compiler/dsl/model.ts';
import type { DeviceSpec } from '../../compiler/device.ts';
import type { Artefact } from '../../compiler/emit/artefact.ts';
import type { Precision } from '../../compiler/pipeline.ts';
import { dit, sizes } from '../../models/dit.ts';
import { autoencoderKL } from '../../models/vae.ts';

export const KINDS = ['forward', 'train', 'sample', 'decode'] as const;

export interface Workload {
  /** A forward pass, a training step with its optimiser, a reverse step with guidance, or a VAE's decoding at 256². */
  readonly kind: (typeof KINDS)[number];
  readonly batch: number;
}

export type Size = keyof typeof sizes;

/** DiT-XL/2 as papers time it. */
export const WORKLOADS: readonly Workload[] = [
  { kind: 'forward', batch: 1 },
  { kind: 'forward', batch: 8 },
  { kind: 'forward', batch: 32 },
  { kind: 'train', batch: 8 },
  { kind: 'sample', batch: 8 },
  { kind: 'decode', batch: 1 },
];

export const nameOf = ({ kind, batch }: Workload): string => `${kind} ${batch}`;

export function parseWorkload(text: string): Workload {
  const [kind, batch] = text.split(' ');
  const known = KINDS.find((one) => one === kind);
  if (known && Number(batch) > 0) return { kind: known, batch: Number(batch) };
  throw new Error(`there is no workload ${text}: use one such as ${WORKLOADS.map(nameOf).join(', ')}`);
}

/** The entries that a run needs, the one that is timed at last. */
const ENTRIES = {
  forward: ['forward'],
  train: ['trainStart', 'trainStep'],
  sample: ['sampleStart', 'sampleStep'],
  decode: ['decode'],
} as const;

export interface CompiledWorkload {
  readonly artefact: Artefact;
  readonly entries: readonly EntryInput[];
  /** Run once before. */
  readonly start?: string;
  readonly timed: string;
}

export function compileWorkload(
  { kind, batch }: Workload,
  { device, dtype, size }: { device: DeviceSpec; dtype: Precision; size: Size },
): CompiledWorkload {
  const model: Model = kind === 'decode' ? autoencoderKL() : dit({ ...sizes[size], patchSize: 2 });
  const names = ENTRIES[kind];
  const entries: EntryInput[] = [];
  const artefact = compileModel(model, {
    ...{ name: 'bench', source: 'bench/gpu', device, dtype, entries: names },
    entryOptions: { ...model.options, batch },
    onEntry: (entry) => entries.push(entry),
  });
  const [first, second] = names;
  return { artefact, entries, start: second && first, timed: second ?? first };
}
