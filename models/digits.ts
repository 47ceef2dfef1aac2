/**
 * A small DiT on the pixels of MNIST by flow matching: no VAE, pictures come out directly. test/golden/train_digits.py trained the
 * weights beside it; `ditc train` trains the same model (docs/training.md).
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
  learnSigma: false,
  flow: { interpolant: 'linear', prediction: 'velocity', times: 'logit-normal' },
});

export default defineModel({
  ...network,
  options: { ...network.options, steps: 25, cfg: 4, cfgChannels: 'all' },
  picture: { range: [-1, 1] },
});
