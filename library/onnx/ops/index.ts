/** The ops of ONNX that are read, each as a function of the DSL. */
import type { Ops } from '../call.ts';
import { activation } from './activation.ts';
import { attentions } from './attention.ts';
import { convolution } from './convolution.ts';
import { sums } from './einsum.ts';
import { elementwise } from './elementwise.ts';
import { indexing } from './indexing.ts';
import { known } from './known.ts';
import { layout } from './layout.ts';
import { matrix } from './matrix.ts';
import { norm } from './norm.ts';
import { places } from './places.ts';
import { pooling } from './pooling.ts';
import { reduce } from './reduce.ts';
import { resizing } from './resize.ts';

export const ops: Ops = {
  ...known,
  ...elementwise,
  ...activation,
  ...matrix,
  ...sums,
  ...attentions,
  ...convolution,
  ...pooling,
  ...norm,
  ...reduce,
  ...layout,
  ...indexing,
  ...places,
  ...resizing,
};
