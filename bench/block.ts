/**
 * One DiT-S/2 adaLN-Zero block (a picture of 256 tokens, width 384, 6 heads): models/dit.ts's own, compiled by ditc, and the
 * same written in jax-js and jitted, with the same weights on the same adapter.
 */
import type { EntryFunction } from '../compiler/dsl/index.ts';
import { blocks, dit, sizes, type DiTConfig } from '../models/dit.ts';
import { openDevice } from '../runtime/index.ts';
import { findAdapter } from '../runtime/node/adapter.ts';
import { mustBeWithin, relativeError, values } from './lib/check.ts';
import { compileEntry, contender, loadEntry } from './lib/ditc.ts';
import { countDispatches } from './lib/dispatches.ts';
import { measure, type Contender } from './lib/measure.ts';
import { peerVersions, startJax, type Jax } from './lib/peers.ts';
import { footer, machine, options, sampleTable, writeJson } from './lib/report.ts';

const HELP = `npx tsx bench/block.ts [options]   one DiT-S/2 block: ditc and jax-js`;
const { rounds, json } = options(HELP, {});

const TOKENS = 256;
const config = dit({ ...sizes.S, patchSize: 2 }).config as DiTConfig;
const { hiddenSize: d, numHeads: heads } = config;

const main: EntryFunction = (e) => {
  const c = e.input('c', [1, d]);
  const on = { c, context: c.unsqueeze(1) };
  return { out: blocks['adaLN-Zero'](e.params, e.input('x', [1, TOKENS, d]), on, config) };
};

/** Weights of a size that keeps activations near 1. */
function data(name: string, shape: readonly number[]): Float32Array {
  const length = shape.reduce((n, size) => n * size, 1);
  const scale = name === 'x' || name === 'c' ? 1 : (3 / shape[shape.length - 1]) ** 0.5;
  return values(length, 1 + [...name].reduce((hash, letter) => hash * 31 + letter.charCodeAt(0), 0), scale);
}

type Shapes = ReadonlyMap<string, readonly number[]>;

/** The block as one writes it in JAX. Every use but a value's last takes a `ref`: jax-js counts references. */
function jaxBlock(jax: Jax, shapes: Shapes): Contender & { result(): Promise<ArrayLike<number>> } {
  const { numpy: np, nn } = jax;
  type Array = InstanceType<typeof jax.Array>;
  type Weights = Record<string, Array>;

  const linear = (p: Weights, name: string, x: Array) =>
    np.matmul(x, np.transpose(p[`${name}.weight`])).add(p[`${name}.bias`]);
  const modulate = (x: Array, shift: Array, scale: Array) => x.mul(scale.add(1)).add(shift);
  const layerNorm = (x: Array) => nn.standardize(x, -1, { epsilon: 1e-6 });

  const attention = (p: Weights, x: Array) => {
    const qkv = linear(p, 'attn.qkv', x).reshape([TOKENS, 3, heads, d / heads]);
    const [q, k, v] = np.split(np.transpose(qkv, [1, 2, 0, 3]), 3, 0).map((part) => np.squeeze(part, 0));
    const scores = np.matmul(q, np.transpose(k, [0, 2, 1])).mul((d / heads) ** -0.5);
    const mixed = np.matmul(nn.softmax(scores, -1), v);
    return linear(p, 'attn.proj', np.transpose(mixed, [1, 0, 2]).reshape([1, TOKENS, d]));
  };
  const mlp = (p: Weights, x: Array) => linear(p, 'mlp.fc2', nn.gelu(linear(p, 'mlp.fc1', x), { approximate: true }));
  const block = jax.jit((p: Weights, x: Array, c: Array) => {
    const parts = np.split(linear(p, 'adaLN_modulation.1', c).reshape([1, 1, 6 * d]), 6, 2);
    const [shiftA, scaleA, gateA, shiftM, scaleM, gateM] = parts;
    const middle = x.ref.add(gateA.mul(attention(p, modulate(layerNorm(x), shiftA, scaleA))));
    return middle.ref.add(gateM.mul(mlp(p, modulate(layerNorm(middle), shiftM, scaleM))));
  });

  const array = (name: string) => np.array(data(name, shapes.get(name)!)).reshape([...shapes.get(name)!]);
  const names = [...shapes.keys()].filter((name) => name !== 'x' && name !== 'c');
  const weights = Object.fromEntries(names.map((name) => [name, array(name)]));
  const [x, c] = [array('x'), array('c')];
  let last: Array | undefined;
  return {
    name: 'jax-js',
    submit() {
      last?.dispose();
      last = block(jax.tree.ref(weights), x.ref, c.ref);
    },
    async finish() {
      await last!.blockUntilReady();
      await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
    },
    result: async () => (await last!.ref.data()) as Float32Array,
  };
}

const found = await findAdapter();
const open = await openDevice(found.adapter, found.spec);
const artefact = compileEntry(open, main);
const program = await loadEntry(open, artefact, data);
const { inputs } = artefact.manifest.entries.main;
const contenders: Contender[] = [contender('ditc', program)];

const jax = await startJax(found);
await program.run('main');
const want = await program.readOutput('main', 'out');
if (jax) {
  const shapes = new Map([...inputs, ...artefact.manifest.params].map(({ name, shape }) => [name, shape]));
  const peer = jaxBlock(jax, shapes);
  await peer.submit();
  await peer.finish();
  mustBeWithin(peer.name, relativeError(await peer.result(), want), 1e-4);
  contenders.push(peer);
}
const dispatches = new Map<string, number>();
for (const one of contenders) dispatches.set(one.name, await countDispatches(one));
const measured = await measure(contenders, rounds);
console.log(sampleTable(measured, { dispatches: ({ name }) => String(dispatches.get(name)) }));
console.log(footer(measured, open.spec));
writeJson(json, {
  machine: machine(open.spec),
  peers: peerVersions(),
  ...measured,
  dispatches: Object.fromEntries(dispatches),
});
open.close();
// Peers keep the process alive.
process.exit(0);
