/**
 * One DiT-S/2 adaLN-Zero block (a picture of 256 tokens, width 384, 6 heads): models/dit.ts's own, compiled by ditc, and the
 * same written in jax-js and jitted, with the same weights on the same adapter.
 */
import type { EntryFunction } from '../compiler/dsl/index.ts';
import { blocks } from '../models/dit.ts';
import { openDevice } from '../runtime/index.ts';
import { findAdapter } from '../runtime/node/adapter.ts';
import { config, data, TOKENS, type Shapes } from './lib/block-data.ts';
import { mustBeWithin, relativeError } from './lib/check.ts';
import { compileEntry, contender, loadEntry } from './lib/ditc.ts';
import { jaxBlock } from './lib/jax-block.ts';
import { jaxContender, type JaxContender } from './lib/jax-contender.ts';
import type { Contender } from './lib/measure.ts';
import { startJax, type Jax } from './lib/peers.ts';
import { race } from './lib/race.ts';
import { options } from './lib/report.ts';

const HELP = `npx tsx bench/block.ts [options]   one DiT-S/2 block: ditc and jax-js`;
const { rounds, json } = options(HELP, {});

const { hiddenSize: d } = config;

const main: EntryFunction = (e) => {
  const c = e.input('c', [1, d]);
  const on = { c, context: c.unsqueeze(1) };
  return { out: blocks['adaLN-Zero'](e.params, e.input('x', [1, TOKENS, d]), on, config) };
};

function jaxRun(jax: Jax, shapes: Shapes): JaxContender {
  const { numpy: np } = jax;
  const block = jax.jit(jaxBlock(jax, TOKENS, config));
  const array = (name: string) => np.array(data(name, shapes.get(name)!)).reshape([...shapes.get(name)!]);
  const names = [...shapes.keys()].filter((name) => name !== 'x' && name !== 'c');
  const weights = Object.fromEntries(names.map((name) => [name, array(name)]));
  const [x, c] = [array('x'), array('c')];
  return jaxContender(jax, 'jax-js', () => block(jax.tree.ref(weights), x.ref, c.ref));
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
  const peer = jaxRun(jax, shapes);
  await peer.submit();
  await peer.finish();
  mustBeWithin(peer.name, relativeError(await peer.result(), want), 1e-4);
  contenders.push(peer);
}
await race(contenders, open, { rounds, json });
open.close();
// Peers keep the process alive.
process.exit(0);
