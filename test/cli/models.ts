/** Model files that tests write. */

/** A model whose entries are a few ops: quick to compile, its results easy to tell. */
export const TINY = `import { defineModel, ones } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    scale(e) {
      const x = e.input('x', [e.batch, 3]);
      const k = e.input('k', [3], 'i32');
      const flag = e.input('flag', [3], 'bool');
      const w = e.params.param('w', [3], ones);
      const scaled = x.mul(k.cast('f32')).mul(w);
      return { scaled, count: k.add(1), masked: scaled.mul(flag.cast('f32')) };
    },
    count(e) {
      const n = e.state('n', [2], 'i32');
      e.update(n, n.add(5));
    },
  },
});
`;

/** A DiT of 8×8 pixels: the whole sampling machinery, little work. */
export const SMALL_DIT = `import { defineModel } from 'ditc/dsl';
import { dit } from 'ditc/models/dit';

const network = dit({
  inputSize: 8, patchSize: 4, inChannels: 1, hiddenSize: 16, depth: 1, numHeads: 2, numClasses: 5,
});

export default defineModel({ ...network, picture: { range: [-1, 1] } });
`;

/** A model of so many columns, an expression that may need `imports`. */
export const widthModel = (width: string, imports = '') => `${imports}
import { defineModel, ones } from 'ditc/dsl';

export default defineModel({
  config: {},
  entries: {
    forward(e) {
      const x = e.input('x', [e.batch, ${width}]);
      return { out: x.mul(e.params.param('w', [${width}], ones)).add(Number(e.options.offset ?? 0)) };
    },
    other: (e) => ({ out: e.input('x', [e.batch]).neg() }),
  },
});
`;
