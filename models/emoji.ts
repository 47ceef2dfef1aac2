/** A small DiT on the latents of models/emoji-vae.ts, one class for each category of emoji: docs/emoji.md. */
import { defineModel } from '../compiler/dsl/index.ts';
import { dit } from './dit.ts';

/** In the order of the folders that bench/emoji-data.ts writes. */
export const categories = [
  'Activities',
  'Animals & Nature',
  'Flags',
  'Food & Drink',
  'Objects',
  'People & Body',
  'Smileys & Emotion',
  'Symbols',
  'Travel & Places',
];

const network = dit({
  inputSize: 16,
  patchSize: 2,
  inChannels: 4,
  hiddenSize: 128,
  depth: 4,
  numHeads: 4,
  numClasses: categories.length,
});

export default defineModel({
  ...network,
  options: { ...network.options, sampler: 'ddim', steps: 50, cfg: 3, cfgChannels: 4 },
});
