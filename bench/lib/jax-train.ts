/** The training step of a block in jax-js: value and gradient, AdamW and average in one jitted function, which consumes what it replaces. */
import { config, data, TOKENS, type Shapes } from './block-data.ts';
import { jaxBlock, type JaxArray, type JaxWeights } from './jax-block.ts';
import type { Jax } from './peers.ts';
import { ADAMW, bias, type Trainer } from './trainer.ts';

export function jaxTrainer(jax: Jax, shapes: Shapes): Trainer {
  const { numpy: np } = jax;
  const { lr, beta1, beta2, eps, weightDecay, ema } = ADAMW;
  const block = jaxBlock(jax, TOKENS, config);
  const names = [...shapes.keys()].filter((name) => !['x', 'c', 'target'].includes(name));
  const each = (make: (name: string) => JaxArray): JaxWeights =>
    Object.fromEntries(names.map((name) => [name, make(name)]));

  const lossOf = (p: JaxWeights, x: JaxArray, c: JaxArray, target: JaxArray) =>
    np.mean(np.square(block(p, x, c).sub(target)));
  type State = Record<'p' | 'm' | 'v' | 'average', JaxWeights>;
  const step = jax.jit(
    (state: State, first: JaxArray, second: JaxArray, x: JaxArray, c: JaxArray, target: JaxArray) => {
      const [loss, g] = jax.valueAndGrad(lossOf)(jax.tree.ref(state.p), x, c, target) as unknown as [
        JaxArray,
        JaxWeights,
      ];
      const m = each((name) => state.m[name].mul(beta1).add(g[name].ref.mul(1 - beta1)));
      const v = each((name) => state.v[name].mul(beta2).add(np.square(g[name]).mul(1 - beta2)));
      const p = each((name) => {
        const towards = m[name].ref.div(first.ref).div(np.sqrt(v[name].ref.div(second.ref)).add(eps));
        return state.p[name].mul(1 - lr * weightDecay).sub(towards.mul(lr));
      });
      const average = each((name) => state.average[name].mul(ema).add(p[name].ref.mul(1 - ema)));
      return { loss, state: { p, m, v, average } };
    },
  );

  const array = (name: string) => np.array(data(name, shapes.get(name)!)).reshape([...shapes.get(name)!]);
  const [x, c, target] = ['x', 'c', 'target'].map(array);
  const zeros = (name: string) => np.zeros([...shapes.get(name)!]);
  let state: State = { p: each(array), m: each(zeros), v: each(zeros), average: each(array) };
  let [loss, taken]: [JaxArray | undefined, number] = [undefined, 0];
  const read = async (value: JaxArray) => (await value.ref.data()) as Float32Array;
  return {
    name: 'jax-js',
    submit() {
      loss?.dispose();
      const [first, second] = bias(++taken).map((value) => np.array(value));
      ({ loss, state } = step(state, first, second, x.ref, c.ref, target.ref));
    },
    async finish() {
      await loss!.blockUntilReady();
      await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
    },
    loss: async () => (await read(loss!))[0],
    weight: (name) => read(state.p[name]),
    moment: (name) => read(state.m[name]),
    average: (name) => read(state.average[name]),
  };
}
