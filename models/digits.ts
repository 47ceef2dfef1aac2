/**
 * A small DiT on the pixels of MNIST: no VAE, pictures come out directly. Beside it lie weights that `ditc train` made
 * (docs/training.md); test/golden/train_digits.py trains the same model in PyTorch.
 */
import { defineModel } from '../compiler/dsl/index.ts';
import { dit } from './dit.ts';

const network = dit({
  inputSize: 28,
  patchSize: 4,
  inChannels: 1,
  hiddenSize: 128,
  depth: 4,
  numHeads: 4,
  numClasses: 10,
});

export default defineModel({
  ...network,
  options: { ...network.options, sampler: 'ddim', steps: 25, cfg: 4, cfgChannels: 4 },
  picture: { range: [-1, 1] },
});
