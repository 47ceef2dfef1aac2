/** A derivative that is asked for: what differentiation is to put in its place, once rules have seen the forward pass. */
import { DitcError, formatType, sizeOf, type Node } from '../ir/index.ts';
import { defineOp, expectArity, expectFloat, free, shapeError } from './define.ts';

/** Whether a derivative is asked for. */
export const isGradient = ({ op }: Node): boolean => op === 'gradient';

export const gradient = defineOp({
  name: 'gradient',
  doc: 'dloss/dx of one element `loss` with respect to a parameter, state or input x. The pass `gradients` puts the value in its place.',
  kind: 'request',
  type: (inputs) => {
    expectArity('gradient', inputs, 2);
    expectFloat('gradient', ...inputs);
    const [loss, x] = inputs;
    const fix = 'reduce it with mean() or sum()';
    if (sizeOf(loss.shape) !== 1)
      throw shapeError('gradient', 'the loss is not a scalar', `it is ${formatType(loss)}`, fix);
    return x;
  },
  reference: () => {
    const what = 'gradient: a derivative is asked for, and nothing has computed it yet';
    throw new DitcError({ code: 'gradient', what, fix: 'run the pass gradients first' });
  },
  gradient: 'none',
  cost: free,
  sample: (random) => {
    const shapes = [[], random.shape(0, 4)];
    return { inputs: shapes.map((shape) => ({ dtype: 'f32' as const, shape })), attrs: {} };
  },
});
