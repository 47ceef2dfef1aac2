/** The self-test of a variant (runtime/web/self-test.ts): three kinds of kernels, and what they compute in float64. */
import { compileModel } from '../../compiler/compile.ts';
import { defineModel, gelu, layerNorm, softmax, type Entry, type Tensor } from '../../compiler/dsl/index.ts';
import { traceEntry } from '../../compiler/dsl/model.ts';
import { interpret } from '../../compiler/ops/interpret.ts';
import type { SelfTestFile } from '../../runtime/web/model-file.ts';
import { packed } from './pack.ts';
import type { WebVariant } from './variants.ts';

const [TOKENS, WIDTH, HEADS] = [32, 32, 2];

const model = defineModel({
  config: {},
  entries: {
    main(e: Entry) {
      const x = e.input('x', [TOKENS, WIDTH]);
      const weight = e.input('weight', [WIDTH, WIDTH]);
      const heads = (rows: Tensor) => rows.reshape(TOKENS, HEADS, WIDTH / HEADS).permute(1, 0, 2);
      const scores = heads(x)
        .matmul(heads(weight).transpose())
        .mul((WIDTH / HEADS) ** -0.5);
      return {
        product: gelu(x.matmul(weight)),
        normed: layerNorm(x).mul(weight),
        attention: softmax(scores).matmul(heads(x)),
      };
    },
  },
});

/** Of the largest value of each output: what rounding each operand once, and each sum a few times, explains. */
const TOLERANCES = { f32: 1e-4, f16: 5e-3 };

export function selfTestOf({ device, dtype }: WebVariant): SelfTestFile {
  const entryOptions = { batch: 1 };
  const artefact = compileModel(model, {
    name: 'self-test',
    source: '',
    device,
    entries: ['main'],
    entryOptions,
    dtype,
  });
  const inputs = { x: values(TOKENS * WIDTH, 37), weight: values(WIDTH * WIDTH, 53) };
  const { outputs } = interpret(traceEntry(model, 'main', entryOptions).graph, inputs);
  const expected = Object.fromEntries(
    Object.entries(outputs).map(([name, { data }]) => [
      name,
      Array.from(data, (value) => Number(value.toPrecision(6))),
    ]),
  );
  return { artefact: packed(artefact), inputs, expected, tolerance: TOLERANCES[dtype] };
}

/** Numbers of few digits, exact in f16. */
const values = (length: number, factor: number): number[] =>
  Array.from({ length }, (_, i) => (((i * factor) % 101) - 50) / 32);
