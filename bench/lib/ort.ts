/** onnxruntime-node as a contender: a few ONNX nodes over constants. */
import type { Contender } from './measure.ts';
import { onnxModel, tensor, type OnnxNode } from './onnx.ts';
import type { Ort } from './peers.ts';

/** What is computed: `last` gives the result, of `shape`, and `before` what it reads. */
export interface OrtGraph {
  readonly constants: readonly Uint8Array[];
  readonly before?: readonly OnnxNode[];
  readonly last: Omit<OnnxNode, 'output'>;
  readonly shape: readonly number[];
}

/** Four numbers come back of a run that is timed: onnxruntime cannot leave its result on the device. `result` is all of it. */
export async function ortContender(
  ort: Ort,
  provider: 'webgpu' | 'cpu',
  { constants, before = [], last, shape }: OrtGraph,
) {
  const open = (model: Uint8Array) =>
    ort.InferenceSession.create(model, { executionProviders: [provider], graphOptimizationLevel: 'disabled' });
  const corner = shape.map((_, axis) => (axis === shape.length - 1 ? 4 : 1));
  const places = [
    tensor('from', [shape.length], new BigInt64Array(shape.length)),
    tensor('to', [shape.length], BigInt64Array.from(corner, BigInt)),
  ];
  const cut = { op: 'Slice', inputs: ['whole', 'from', 'to'], output: 'y' };
  const timed = await open(
    onnxModel([...constants, ...places], [...before, { ...last, output: 'whole' }, cut], { name: 'y', shape: corner }),
  );
  const whole = onnxModel([...constants], [...before, { ...last, output: 'y' }], { name: 'y', shape: [...shape] });
  return {
    name: `onnxruntime ${provider}`,
    submit: async () => void (await timed.run({})),
    finish: async () => {},
    async result() {
      const session = await open(whole);
      const { y } = await session.run({});
      await session.release();
      return y.data as Float32Array;
    },
    close: () => timed.release(),
  } satisfies Contender & { result(): Promise<Float32Array>; close(): Promise<void> };
}
