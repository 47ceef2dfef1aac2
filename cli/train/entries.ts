/**
 * The training entries' signature: all that the trainer knows of a model. `trainStart` sets the optimiser to its first
 * state and `trainStep` takes one step; parameters, moments, moving averages and the step counter stay on the device.
 */
import { traceEntry, type EntryOptions } from '../../compiler/dsl/model.ts';
import type { InputSpec, TensorSpec } from '../../compiler/emit/artefact.ts';
import { inputSpecs } from '../../compiler/emit/input-range.ts';
import { guard } from '../../compiler/frontend/index.ts';
import { DitcError } from '../../compiler/ir/index.ts';
import type { ImageShape } from '../../runtime/data/fit.ts';
import { toldInputs } from '../../runtime/data/told.ts';
import { TRAINING_ENTRIES } from '../../runtime/train.ts';
import { classesOf } from '../classes.ts';
import type { LoadedModel } from '../model.ts';

/** What the model is trained on. */
export interface Trained {
  /** [C,H,W] of an example. */
  readonly shape: ImageShape;
  /** How many classes it learns, as far as it tells. */
  readonly classes?: number;
  /** What it is told of each example besides. */
  readonly told: readonly InputSpec[];
}

/** Throws unless the model can be trained. */
export function checkTrainer(loaded: LoadedModel, options: EntryOptions): Trained {
  const { model, source } = loaded;
  const missing = TRAINING_ENTRIES.filter((name) => !Object.hasOwn(model.entries, name));
  if (missing.length) {
    const fix = 'make the model with dit({ … }), or write these entries: see docs/training.md';
    throw new DitcError({ code: 'entry', where: source, what: `it has no entry ${missing.join(' and ')}`, fix });
  }
  const { graph, classes } = guard(loaded, () => traceEntry(model, 'trainStep', options));
  const inputs = inputSpecs(graph, classes);
  const images = inputs.find(({ name }) => name === 'images');
  const wanted = [
    `images f32[N,C,H,W]`,
    `seed u32[2]`,
    `labels i32[N] where it has classes`,
    'and inputs of which each example has a row',
  ];
  const known = images?.shape.length === 4 ? expected(images.shape) : [];
  const told = toldInputs(inputs);
  const isKnown = (input: InputSpec) => told.includes(input) || known.includes(described(input));
  const fits = inputs.every(isKnown) && inputs.some(({ name }) => name === 'seed');
  if (!images || !fits)
    throw wrongSignature(source, `its inputs are ${inputs.map(described).join(', ')}`, wanted.join(', '));
  const loss = graph.outputs.find(({ name }) => name === 'loss')?.node.type;
  if (loss?.dtype !== 'f32' || loss.shape.length) throw wrongSignature(source, 'it has no output loss f32[]', 'loss');
  const [, channels, height, width] = images.shape;
  const labels = inputs.find(({ name }) => name === 'labels');
  return { shape: [channels, height, width], classes: classesOf(model, labels), told };
}

const described = ({ name, dtype, shape }: TensorSpec): string => `${name} ${dtype}[${shape.join(',')}]`;

const expected = (images: readonly number[]): string[] => [
  `images f32[${images.join(',')}]`,
  `labels i32[${images[0]}]`,
  'seed u32[2]',
];

function wrongSignature(where: string, why: string, wanted: string): DitcError {
  const fix = `give it ${wanted}: see docs/training.md`;
  return new DitcError({ code: 'entry', where, what: 'trainStep is not what the trainer calls', why, fix });
}
